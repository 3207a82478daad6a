import type { CoreRouter } from "../core/router.ts";
import { Handle } from "../wire/handles.ts";

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
      const asked = this.reserve(parentId);
      const block = await asked;
      if (block.next < block.end) return block.next++;
      // Whoever comes first forgets it: the others find the next one.
      if (this.#blocks.get(parentId) === asked) this.#blocks.delete(parentId);
    }
  }

  /** Sees to it that there are some, without taking one. */
  reserve(parentId: number): Promise<Block> {
    let asked = this.#blocks.get(parentId);
    if (asked === undefined) {
      asked = this.ask(parentId);
      this.#blocks.set(parentId, asked);
      // Asked again the next time.
      asked.catch(() => this.#blocks.delete(parentId));
    }
    return asked;
  }

  private async ask(parentId: number): Promise<Block> {
    const master = this.#router.contextById(MASTER);
    const wanted = parentId === this.#router.contextId ? null : parentId;
    const [next, end] = (await master.request(Handle.ALLOCATE_ID, wanted)) as [number, number];
    return { next, end };
  }
}
