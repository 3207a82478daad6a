/** To how many contexts a child may have sent before it is told of every context that ends. */
export const MAX_ADDRESSEES_PER_CHILD = 10_000;
/** The same limit for all children of this process together. */
export const MAX_ADDRESSEES = 100_000;

/**
 * Which children may wait for which contexts: the table notes to which contexts each child, or a context behind
 * it, has sent something. A child may invent ids, so the table is bounded. Beyond the bound, a child is told of
 * every context that ends. So no caller waits for a lost context because others have filled the table.
 */
export class Addressees {
  readonly #byChild: Map<number, Set<number>> = new Map();
  /** The children that have sent to a context. */
  readonly #senders: Map<number, Set<number>> = new Map();
  /** Children that have sent to contexts for which the table had no room. */
  readonly #overfull: Set<number> = new Set();
  #count = 0;

  /** Call this when a frame for `contextId` has passed, from `childId` or from a context behind it. */
  note(contextId: number, childId: number): void {
    let own = this.#byChild.get(childId);
    if (own?.has(contextId)) return;
    if (own === undefined) {
      own = new Set();
      this.#byChild.set(childId, own);
    }
    if (own.size >= MAX_ADDRESSEES_PER_CHILD || this.#count >= MAX_ADDRESSEES) {
      this.#overfull.add(childId);
      return;
    }
    own.add(contextId);
    this.#count += 1;
    const senders = this.#senders.get(contextId);
    if (senders === undefined) this.#senders.set(contextId, new Set([childId]));
    else senders.add(childId);
  }

  /** Returns the children to tell that a context is gone. Forgets them, except the overfull ones. */
  takeSendersTo(contextId: number): Iterable<number> {
    const senders = this.#senders.get(contextId) ?? [];
    this.#senders.delete(contextId);
    for (const childId of senders) {
      this.#byChild.get(childId)?.delete(contextId);
      this.#count -= 1;
    }
    return this.#overfull.size === 0 ? senders : new Set([...senders, ...this.#overfull]);
  }

  /** The contexts that children have sent to. */
  get contextIds(): number[] {
    return [...this.#senders.keys()];
  }

  /** Call this when a child is gone. */
  forgetChild(childId: number): void {
    for (const contextId of this.#byChild.get(childId) ?? []) {
      const senders = this.#senders.get(contextId) as Set<number>;
      senders.delete(childId);
      if (senders.size === 0) this.#senders.delete(contextId);
      this.#count -= 1;
    }
    this.#byChild.delete(childId);
    this.#overfull.delete(childId);
  }
}
