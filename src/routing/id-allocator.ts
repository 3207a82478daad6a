import { monotonicMs } from "../waiting/monotonic.ts";

/** The number of ids in a block for a context's own children: docs/protocol.md#allocate_id. */
export const ID_BLOCK_SIZE = 1000;
/**
 * How many blocks the contexts behind one link may get at once. There are 2^32 ids, and none is used again. A
 * child that asks for block after block must not leave others without ids.
 */
export const MAX_BLOCKS_PER_LINK = 4000;
/** After this time they may get one more block, because a link that lasts for months must not run out of ids. */
export const BLOCK_INTERVAL_MS = 60_000;
/** Blocks end here. The ids above are for contexts that the program itself starts. */
export const MAX_BLOCK_ID = 0xf0000000;
const MAX_ID = 0xffffffff;

interface Range {
  readonly start: number;
  /** The id after the last. */
  end: number;
  /** Undefined once the owner is gone. */
  ownerId: number | undefined;
}

/** How many blocks the contexts behind one link may still get. */
interface Allowance {
  blocks: number;
  /** When the last block was added to the allowance. */
  since: number;
}

/**
 * Gives out context ids. Only the master has an allocator. The master is 0, its first child 1. Ids are never
 * used again. The allocator remembers the owner of each id, so that nobody else can claim it.
 */
export class IdAllocator {
  /** In ascending order. */
  #blocks: Range[] = [];
  readonly #blocksByOwner: Map<number, Range[]> = new Map();
  /** Blocks whose owner is gone. */
  #ownerless = 0;
  readonly #allowances: Map<number, Allowance> = new Map();
  readonly #owners: Map<number, number> = new Map();
  readonly #now: () => number;
  #next: number;

  /** `now` returns milliseconds. */
  constructor(now: () => number = monotonicMs, firstId = 1) {
    this.#now = now;
    this.#next = firstId;
  }

  /** Allocates an id for a child of `ownerId` that this program asked for. {@link giveBack} it if the connect fails. */
  allocate(ownerId: number): number {
    const id = this.take(1, MAX_ID);
    this.#owners.set(id, ownerId);
    return id;
  }

  /**
   * Allocates [start, end), a block for the children that `ownerId` starts on its own. Throws a RangeError if
   * the contexts behind the same child of this process, `linkId`, have had too many blocks: a hostile child can
   * invent contexts.
   */
  allocateBlock(ownerId: number, linkId: number): [start: number, end: number] {
    const allowance = this.allowanceOf(linkId);
    if (allowance.blocks === 0) {
      throw new RangeError(
        `Cannot allocate ids for context ${ownerId}: contexts behind context ${linkId} have had ${MAX_BLOCKS_PER_LINK} blocks already, and get one more every ${BLOCK_INTERVAL_MS / 1000} s`,
      );
    }
    const start = this.take(ID_BLOCK_SIZE, MAX_BLOCK_ID);
    const end = start + ID_BLOCK_SIZE;
    allowance.blocks -= 1;
    const last = this.#blocks[this.#blocks.length - 1];
    if (last?.end === start && last.ownerId === ownerId) last.end = end;
    else this.addBlock({ start, end, ownerId }, ownerId);
    return [start, end];
  }

  /** Call this when a context is gone: its ids then belong to nobody. */
  forget(contextId: number): void {
    this.#allowances.delete(contextId);
    const blocks = this.#blocksByOwner.get(contextId);
    if (blocks === undefined) return;
    this.#blocksByOwner.delete(contextId);
    for (const block of blocks) block.ownerId = undefined;
    this.#ownerless += blocks.length;
    if (this.#ownerless <= this.#blocks.length / 2) return;
    this.#blocks = this.#blocks.filter(({ ownerId }) => ownerId !== undefined);
    this.#ownerless = 0;
  }

  /** The owner of an id. */
  ownerOf(id: number): number | undefined {
    return this.#owners.get(id) ?? this.blockOf(id)?.ownerId;
  }

  /** Forgets a single id, so that nobody can claim it any more. */
  giveBack(id: number): void {
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

  private addBlock(block: Range, ownerId: number): void {
    this.#blocks.push(block);
    const own = this.#blocksByOwner.get(ownerId);
    if (own === undefined) this.#blocksByOwner.set(ownerId, [block]);
    else own.push(block);
  }

  private allowanceOf(linkId: number): Allowance {
    const now = this.#now();
    let allowance = this.#allowances.get(linkId);
    if (allowance === undefined) {
      allowance = { blocks: MAX_BLOCKS_PER_LINK, since: now };
      this.#allowances.set(linkId, allowance);
    }
    const earned = Math.floor((now - allowance.since) / BLOCK_INTERVAL_MS);
    if (earned > 0) {
      allowance.blocks = Math.min(MAX_BLOCKS_PER_LINK, allowance.blocks + earned);
      allowance.since += earned * BLOCK_INTERVAL_MS;
    }
    return allowance;
  }

  private take(count: number, maxId: number): number {
    const start = this.#next;
    if (start + count > maxId) throw new RangeError("Cannot allocate ids: all have been given out");
    this.#next += count;
    return start;
  }
}
