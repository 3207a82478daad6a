/** Ids a context gets at once for its own children: docs/protocol.md#allocate_id. */
export const ID_BLOCK_SIZE = 1000;
/** A context that asks for more than this many blocks is broken or hostile: ids are never given back. */
const MAX_BLOCKS_PER_OWNER = 1000;
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
  readonly #blocks: Range[] = [];
  readonly #owners: Map<number, number> = new Map();
  #next = 1;

  /** One id, for a child of `ownerId` that this program asked for. {@link release} it when the connect has failed. */
  allocate(ownerId: number): number {
    const id = this.take(1);
    this.#owners.set(id, ownerId);
    return id;
  }

  /** [start, end): a block for the children that `ownerId` starts on its own. Throws a RangeError when it has had too many. */
  allocateBlock(ownerId: number): [start: number, end: number] {
    const count = this.#blocks.filter((block) => block.ownerId === ownerId).length;
    if (count >= MAX_BLOCKS_PER_OWNER) {
      throw new RangeError(`Cannot allocate ids: context ${ownerId} has had ${count} blocks already`);
    }
    const start = this.take(ID_BLOCK_SIZE);
    this.#blocks.push({ start, end: start + ID_BLOCK_SIZE, ownerId });
    return [start, start + ID_BLOCK_SIZE];
  }

  /** Whom an id was given to. */
  ownerOf(id: number): number | undefined {
    return this.#owners.get(id) ?? this.#blocks.find(({ start, end }) => id >= start && id < end)?.ownerId;
  }

  /** Forgets a single id; nobody can claim it any more. */
  release(id: number): void {
    this.#owners.delete(id);
  }

  private take(count: number): number {
    const start = this.#next;
    if (start + count > MAX_ID) throw new RangeError("Cannot allocate ids: all have been given out");
    this.#next += count;
    return start;
  }
}
