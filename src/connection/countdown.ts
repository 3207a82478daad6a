import { startTimer } from "../core/wait.ts";

/** How long a countdown stands still at most: a person may take so long to type a password. */
const MAX_HOLD_MS = 10 * 60_000;

/** However often it begins again. */
const MAX_WHOLE_MS = 60 * 60_000;

/** The time of a connect. It stands still while the program gets a password, which may be a person who types it. */
export class Countdown {
  readonly #onTime: () => void;
  readonly #madeAt: number = Date.now();
  #leftMs: number;
  #startedAt = Date.now();
  #timer: NodeJS.Timeout | undefined;
  #holds = 0;
  #isOver = false;

  /** Calls `onTime` once, after `ms` that were not held, or when it is held for too long. */
  constructor(ms: number, onTime: () => void) {
    this.#leftMs = ms;
    this.#onTime = onTime;
    this.start(ms);
  }

  /** Stands still from now on, until it is released as often as it is held. */
  hold(): void {
    if (++this.#holds > 1) return;
    this.#leftMs = Math.max(0, this.#leftMs - (Date.now() - this.#startedAt));
    this.start(MAX_HOLD_MS);
  }

  release(): void {
    if (--this.#holds === 0) this.start(this.#leftMs);
  }

  /** Begins again with `ms`, for something has happened that takes long; within an hour, whatever happens. */
  restart(ms: number): void {
    if (Date.now() - this.#madeAt > MAX_WHOLE_MS) return;
    this.#leftMs = ms;
    if (this.#holds === 0) this.start(ms);
  }

  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  private start(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#startedAt = Date.now();
    this.#timer = startTimer(ms, () => {
      this.#isOver = true;
      this.#onTime();
    });
  }
}
