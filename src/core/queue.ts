/** So much may be left of what was taken. */
const MAX_GAP = 1024;

/** First in, first out. Taking costs the same however many wait, where `shift()` of a long array moves all that are left. */
export class Queue<T> {
  #items: T[] = [];
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** The next to be taken; undefined if there is none. */
  get first(): T | undefined {
    return this.#items[this.#taken];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const { first } = this;
    if (this.length === 0) return first;
    // Nothing here holds what was taken.
    this.#items[this.#taken++] = undefined as unknown as T;
    if (this.length === 0 || (this.#taken > MAX_GAP && this.#taken > this.length)) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return first;
  }
}
