/** The most empty entries at the beginning of the array. */
const MAX_GAP = 1024;

/**
 * A queue: first in, first out. Taking an item costs the same for any length, whereas `shift()` of a long
 * array moves all items that are left.
 */
export class Queue<T> {
  #items: T[] = [];
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** The next item. Undefined if the queue is empty. */
  get first(): T | undefined {
    return this.#items[this.#taken];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const { first } = this;
    if (this.length === 0) return first;
    // Cleared, so that the queue does not keep the item alive.
    this.#items[this.#taken++] = undefined as unknown as T;
    if (this.length === 0 || (this.#taken > MAX_GAP && this.#taken > this.length)) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return first;
  }
}
