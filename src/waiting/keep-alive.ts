/**
 * Keeps the event loop alive while somebody waits. Links, children and timers never do so by themselves:
 * a program that returns from its work ends. Node 12 timers can be ref'd and unref'd at will.
 */
export class KeepAlive {
  #holds = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Every call needs exactly one `release`. */
  hold(): void {
    this.#holds += 1;
    if (this.#holds > 1) return;
    // The longest interval a timer takes, about 24 days; it does nothing.
    if (this.#timer === undefined) this.#timer = setInterval(() => undefined, 0x7fffffff);
    else this.#timer.ref();
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0) this.#timer?.unref();
  }

  /** Forgets the timer; holds that are still out are void. */
  dispose(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#holds = Number.POSITIVE_INFINITY;
  }
}
