import { within } from "../config/within.ts";

/** Work that is done once, for all who wait for its result. It is given up when nobody waits any more. */
export class SharedWork<T> {
  readonly #what: string;
  readonly #work: (signal: AbortSignal) => Promise<T>;
  #waiters = 0;
  #running: { readonly result: Promise<T>; readonly abort: AbortController } | undefined;

  /** `what` completes "Cannot". */
  constructor(what: string, work: (signal: AbortSignal) => Promise<T>) {
    this.#what = what;
    this.#work = work;
  }

  /** The result; a failure counts as one too. */
  async result(signal?: AbortSignal): Promise<T> {
    if (this.#running === undefined) {
      const abort = new AbortController();
      this.#running = { result: this.#work(abort.signal), abort };
    }
    const { result, abort } = this.#running;
    this.#waiters++;
    let isDone = false;
    try {
      return await within(this.#what, signal, () =>
        result.finally(() => {
          isDone = true;
        }),
      );
    } finally {
      this.#waiters--;
      if (!isDone && this.#waiters === 0) {
        this.#running = undefined;
        abort.abort();
      }
    }
  }
}
