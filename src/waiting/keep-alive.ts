/**
 * Keeps the event loop alive while somebody waits. Links, children and timers never keep it alive by
 * themselves, so a program that has finished its work ends. A timer does this, because even Node 12 can
 * reference and unreference one again and again.
 */
export class KeepAlive {
  #holds = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Every call needs exactly one `release`. */
  hold(): void {
    this.#holds += 1;
    if (this.#holds > 1) return;
    // The longest interval of a timer, about 24 days. The callback does nothing.
    if (this.#timer === undefined) this.#timer = setInterval(() => undefined, 0x7fffffff);
    else this.#timer.ref();
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0) this.#timer?.unref();
  }

  /** Drops the timer. Open holds no longer count. */
  dispose(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#holds = Number.POSITIVE_INFINITY;
  }
}
