/** Ids a context gets at once for its own children: docs/protocol.md#allocate_id. */
export const ID_BLOCK_SIZE = 1000;
/** More blocks than this for the contexts behind one link, and somebody there is broken or hostile: ids are never given back. */
const MAX_BLOCKS_PER_LINK = 4000;
const MAX_ID = 0xffffffff;

interface Range {
  readonly start: number;
  /** One past the last. */
  readonly end: number;
  readonly ownerId: number;
}

/**
 * Gives out context ids; only the master has one. The master is 0, its first child 1; ids are never used again. It remembers whom an id
 * was given to, so that nobody else can claim it.
 */
export class IdAllocator {
  /** In ascending order. */
  readonly #blocks: Range[] = [];
  readonly #blockCounts: Map<number, number> = new Map();
  readonly #owners: Map<number, number> = new Map();
  #next = 1;

  /** One id, for a child of `ownerId` that this program asked for. {@link release} it when the connect has failed. */
  allocate(ownerId: number): number {
    const id = this.take(1);
    this.#owners.set(id, ownerId);
    return id;
  }

  /**
   * [start, end): a block for the children that `ownerId` starts on its own. Throws a RangeError when the contexts behind the same
   * child of this process, `linkId`, have had too many: one that is hostile can make contexts up.
   */
  allocateBlock(ownerId: number, linkId: number): [start: number, end: number] {
    const count = this.#blockCounts.get(linkId) ?? 0;
    if (count >= MAX_BLOCKS_PER_LINK) {
      throw new RangeError(
        `Cannot allocate ids for context ${ownerId}: contexts behind context ${linkId} have had ${count} blocks already`,
      );
    }
    const start = this.take(ID_BLOCK_SIZE);
    this.#blockCounts.set(linkId, count + 1);
    this.#blocks.push({ start, end: start + ID_BLOCK_SIZE, ownerId });
    return [start, start + ID_BLOCK_SIZE];
  }

  /** Whom an id was given to. */
  ownerOf(id: number): number | undefined {
    return this.#owners.get(id) ?? this.blockOf(id)?.ownerId;
  }

  /** Forgets a single id; nobody can claim it any more. */
  release(id: number): void {
    this.#owners.delete(id);
  }

  private blockOf(id: number): Range | undefined {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#blocks[middle] as Range).end <= id) low = middle + 1;
      else high = middle;
    }
    const found = this.#blocks[low];
    return found !== undefined && id >= found.start ? found : undefined;
  }

  private take(count: number): number {
    const start = this.#next;
    if (start + count > MAX_ID) throw new RangeError("Cannot allocate ids: all have been given out");
    this.#next += count;
    return start;
  }
}
