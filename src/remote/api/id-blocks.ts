import type { CoreRouter } from "../../core/router.ts";
import { Handle } from "../../wire/handles.ts";

const MASTER = 0;

interface Block {
  next: number;
  readonly end: number;
}

/** The ids that a context may give to contexts it starts; the master gives them out in blocks. docs/protocol.md#allocate_id */
export class IdBlocks {
  readonly #router: CoreRouter;
  /** By the context that the ids are for. */
  readonly #blocks: Map<number, Promise<Block>> = new Map();

  constructor(router: CoreRouter) {
    this.#router = router;
  }

  /**
   * An id for a child of `parentId`, which the master has made able to have one by then. Rejects with a ChannelError when the master
   * cannot be reached, or refuses.
   */
  async take(parentId: number): Promise<number> {
    for (;;) {
      const block = await this.reserve(parentId);
      // Others may have taken the last one meanwhile.
      if (block.next < block.end) return block.next++;
    }
  }

  /** Sees to it that there are some, without taking one. */
  async reserve(parentId: number): Promise<Block> {
    for (;;) {
      const asked = this.#blocks.get(parentId) ?? this.ask(parentId);
      this.#blocks.set(parentId, asked);
      try {
        const block = await asked;
        if (block.next < block.end) return block;
        this.forget(parentId, asked);
      } catch (error) {
        // Asked again the next time.
        this.forget(parentId, asked);
        throw error;
      }
    }
  }

  /** Whoever comes first does it: the others find the next one. */
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
