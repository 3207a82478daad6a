import { monotonicMs } from "../../waiting/monotonic.ts";
import { startTimer } from "../../waiting/wait.ts";

/** How long a countdown may be held: a person may take this long to type a password. */
const MAX_PAUSE_MS = 10 * 60_000;

/** The longest time of a connect, however often it begins again. */
const MAX_WHOLE_MS = 60 * 60_000;

/** The time of a connect. It stands still while the program gets a password, perhaps from a person. */
export class Countdown {
  readonly #onTime: () => void;
  readonly #madeAt: number = monotonicMs();
  #leftMs: number;
  #startedAt = monotonicMs();
  #timer: NodeJS.Timeout | undefined;
  #pauses = 0;
  #isOver = false;

  /** Calls `onTime` once, after `ms` in which it did not stand still, or when it stands still for too long. */
  constructor(ms: number, onTime: () => void) {
    this.#leftMs = ms;
    this.#onTime = onTime;
    this.start(ms);
  }

  /** Stands still from now on, until {@link resume} was called as often as this. */
  pause(): void {
    if (++this.#pauses > 1) return;
    this.#leftMs = Math.max(0, this.#leftMs - (monotonicMs() - this.#startedAt));
    this.start(MAX_PAUSE_MS);
  }

  resume(): void {
    if (--this.#pauses === 0) this.start(this.#leftMs);
  }

  /** Begins again with `ms`, because something takes long. After an hour it no longer does. */
  restart(ms: number): void {
    if (monotonicMs() - this.#madeAt > MAX_WHOLE_MS) return;
    this.#leftMs = ms;
    if (this.#pauses === 0) this.start(ms);
  }

  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  private start(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#startedAt = monotonicMs();
    this.#timer = startTimer(ms, () => {
      this.#isOver = true;
      this.#onTime();
    });
  }
}
