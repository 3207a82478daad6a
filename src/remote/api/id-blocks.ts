import type { CoreRouter } from "../../core/router.ts";
import { Handle } from "../../wire/handles.ts";

const MASTER = 0;

interface Block {
  next: number;
  readonly end: number;
}

/**
 * The ids that a context may give to contexts that it starts. The master allocates them in blocks:
 * docs/protocol.md#allocate_id.
 */
export class IdBlocks {
  readonly #router: CoreRouter;
  /** The blocks, by the context whose children will get the ids. */
  readonly #blocks: Map<number, Promise<Block>> = new Map();

  constructor(router: CoreRouter) {
    this.#router = router;
  }

  /**
   * Returns an id for a child of `parentId`, after the master has sent that context the code to have
   * children. Rejects with a ChannelError if the master cannot be reached, or refuses.
   */
  async take(parentId: number): Promise<number> {
    for (;;) {
      const block = await this.reserve(parentId);
      // Other calls may have taken the last id meanwhile.
      if (block.next < block.end) return block.next++;
    }
  }

  /** Makes sure that there are ids, without taking one. */
  async reserve(parentId: number): Promise<Block> {
    for (;;) {
      const asked = this.#blocks.get(parentId) ?? this.ask(parentId);
      this.#blocks.set(parentId, asked);
      try {
        const block = await asked;
        if (block.next < block.end) return block;
        this.forget(parentId, asked);
      } catch (error) {
        // The next call asks again.
        this.forget(parentId, asked);
        throw error;
      }
    }
  }

  /** Forgets a used block, unless another call already has. */
  private forget(parentId: number, asked: Promise<Block>): void {
    if (this.#blocks.get(parentId) === asked) this.#blocks.delete(parentId);
  }

  private async ask(parentId: number): Promise<Block> {
    const master = this.#router.contextById(MASTER);
    const wanted = parentId === this.#router.contextId ? null : parentId;
    const [next, end] = (await master.request(Handle.ALLOCATE_ID, wanted)) as [number, number];
    return { next, end };
  }
}
