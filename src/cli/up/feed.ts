import { Queue } from "../../core/queue.ts";
import { Deferred } from "../../waiting/deferred.ts";

/** A queue that yields what is added to it, in order, until it ends. Iterate it once. */
export class Feed<T> implements AsyncIterable<T> {
  readonly #items: Queue<T> = new Queue();
  #isOver = false;
  #news: Deferred<void> = new Deferred();

  add(item: T): void {
    if (this.#isOver) return;
    this.#items.push(item);
    this.#news.resolve();
  }

  /** Ends the queue: later additions are dropped. What was added before can still be read. */
  end(): void {
    this.#isOver = true;
    this.#news.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#isOver) return;
      else {
        await this.#news.promise;
        this.#news = new Deferred();
      }
    }
  }
}
