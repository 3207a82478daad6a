/** Adds up the time in which at least one of several tasks was under way. */
export class BusyTime {
  #totalMs = 0;
  #since = 0;
  #count = 0;

  get totalMs(): number {
    return this.#totalMs + (this.#count > 0 ? nowMs() - this.#since : 0);
  }

  /** Counts until the task is settled, and hands it on. */
  async during<T>(task: Promise<T>): Promise<T> {
    if (this.#count++ === 0) this.#since = nowMs();
    try {
      return await task;
    } finally {
      if (--this.#count === 0) this.#totalMs += nowMs() - this.#since;
    }
  }
}

/** `performance` has to be loaded. */
function nowMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
