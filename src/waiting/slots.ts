import { ChannelError } from "../errors.ts";

interface Waiter {
  start(): void;
  refuse(error: Error): void;
}

/** Limits how many functions run at once. The others wait, and start in the order in which they came. */
export class Slots {
  readonly #size: number;
  #busy = 0;
  readonly #waiting: Waiter[] = [];
  #closeReason: string | undefined;
  #onIdle: (() => void) | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  /** How many functions run, and how many wait. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#busy, waiting: this.#waiting.length };
  }

  /**
   * Runs `fn` once there is room. Rejects with the error of `fn`, or with a ChannelError if `close` is called
   * before `fn` begins. If `fn` has to wait, `watch` gets a function that ends the wait with an error. The
   * function that `watch` returns is called when the wait is over.
   */
  async run<T>(
    fn: () => T | PromiseLike<T>,
    watch?: (refuse: (error: Error) => void) => () => void,
  ): Promise<T> {
    if (this.#closeReason !== undefined) throw new ChannelError(this.#closeReason);
    if (this.#busy < this.#size) this.#busy += 1;
    else await this.turn(watch);
    try {
      return await fn();
    } finally {
      const next = this.#waiting.shift();
      if (next !== undefined) next.start();
      else {
        this.#busy -= 1;
        if (this.#busy === 0) this.#onIdle?.();
      }
    }
  }

  /** Waits for a place. A function that ends passes its place on, so that no newcomer can take it. */
  private async turn(watch?: (refuse: (error: Error) => void) => () => void): Promise<void> {
    let unwatch: (() => void) | undefined;
    try {
      await new Promise<void>((start, refuse) => {
        const waiter = { start, refuse };
        this.#waiting.push(waiter);
        unwatch = watch?.((error) => {
          const at = this.#waiting.indexOf(waiter);
          if (at < 0) return; // its turn has come
          this.#waiting.splice(at, 1);
          refuse(error);
        });
      });
    } finally {
      unwatch?.();
    }
  }

  /** Refuses waiting and later functions. Resolves when the running ones have ended. */
  close(reason: string): Promise<void> {
    this.#closeReason = reason;
    for (const { refuse } of this.#waiting.splice(0)) refuse(new ChannelError(reason));
    return new Promise((resolve) => {
      if (this.#busy === 0) resolve();
      else this.#onIdle = resolve;
    });
  }
}
