/** Adds up the time during which at least one of several tasks runs. */
export class BusyTime {
  #totalMs = 0;
  #since = 0;
  #count = 0;

  get totalMs(): number {
    return this.#totalMs + (this.#count > 0 ? nowMs() - this.#since : 0);
  }

  /** Counts the time until the task settles. Returns the task's result. */
  async during<T>(task: Promise<T>): Promise<T> {
    if (this.#count++ === 0) this.#since = nowMs();
    try {
      return await task;
    } finally {
      if (--this.#count === 0) this.#totalMs += nowMs() - this.#since;
    }
  }
}

/** Not `performance`, because Node loads that late. */
function nowMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
