/** The side of an `AbortSignal` that aborts it. */
export interface AbortEnd {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
}

type Listener = ((event: object) => void) | { handleEvent(event: object): void };

/** Returns an `AbortController` if Node's is complete (from 16.17 on), otherwise a replacement. */
export function newAbortEnd(): AbortEnd {
  const isComplete = typeof AbortSignal === "function" && "throwIfAborted" in AbortSignal.prototype;
  return isComplete ? new AbortController() : new PlainAbortEnd();
}

/** Implements an `AbortSignal` for Nodes that have none, or an incomplete one. Exported for its test. */
export class PlainAbortEnd implements AbortEnd {
  readonly signal: AbortSignal;
  readonly #signal: PlainSignal = new PlainSignal();

  constructor() {
    this.signal = this.#signal as unknown as AbortSignal;
  }

  abort(reason: unknown): void {
    const signal = this.#signal;
    if (signal.aborted) return;
    signal.aborted = true;
    signal.reason = reason;
    signal.dispatchEvent({ type: "abort", target: signal });
  }
}

class PlainSignal {
  aborted = false;
  reason: unknown;
  onabort: Listener | null = null;
  readonly #listeners: Map<Listener, boolean> = new Map();

  addEventListener(type: string, listener: Listener, options?: { once?: boolean } | boolean): void {
    if (type !== "abort" || this.#listeners.has(listener)) return;
    this.#listeners.set(listener, typeof options === "object" && options.once === true);
  }

  removeEventListener(_type: string, listener: Listener): void {
    this.#listeners.delete(listener);
  }

  dispatchEvent(event: { type: string; target: object }): boolean {
    const { onabort } = this;
    if (onabort !== null) this.tell(onabort, event);
    for (const [listener, isOnce] of [...this.#listeners]) {
      if (isOnce) this.#listeners.delete(listener);
      this.tell(listener, event);
    }
    return true;
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  /**
   * An error of a listener becomes an uncaught exception, as with Node's own signal. The other listeners are
   * still called.
   */
  private tell(listener: Listener, event: object): void {
    try {
      if (typeof listener === "function") listener.call(this, event);
      else listener.handleEvent(event);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
