/** How many contexts a child may have sent to before it is told of every end. */
export const MAX_ADDRESSEES_PER_CHILD = 10_000;
/** The same limit for all children of this process together. */
export const MAX_ADDRESSEES = 100_000;

/**
 * Who may wait for which contexts: the contexts to which the contexts behind each child have sent something.
 * A child may make ids up, so the table is bounded. Beyond the limit, a child is told of every end, so no
 * caller waits for a lost context because another context behind the same link has filled the table.
 */
export class Addressees {
  readonly #byChild: Map<number, Set<number>> = new Map();
  /** The children that have sent to a context. */
  readonly #senders: Map<number, Set<number>> = new Map();
  /** Children that have sent to more contexts than the table may hold. */
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

  /** The children to tell that a context is gone. Forgets its senders, except the overfull children. */
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
