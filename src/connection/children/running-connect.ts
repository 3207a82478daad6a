import { CancelledError } from "../../errors.ts";

/** A try of a connect, or a pause between two tries. */
interface Step {
  cancel(why: string, cause?: unknown): Promise<void>;
}

/** One connect through all its tries. It can be cancelled at any time, between two tries as well. */
export class RunningConnect implements Step {
  readonly #method: string;
  #step: Step | undefined;
  #cancelled: Error | undefined;

  constructor(method: string) {
    this.#method = method;
  }

  /** What is cancelled together with the connect, from now on. Throws if the connect was cancelled before. */
  begin(step: Step | undefined): void {
    if (this.#cancelled !== undefined) throw this.#cancelled;
    this.#step = step;
  }

  /** Resolves when the process of the try has been reaped. Never rejects. */
  async cancel(why: string, cause?: unknown): Promise<void> {
    this.#cancelled ??= cancelled(this.#method, why, cause);
    await this.#step?.cancel(why, cause);
  }
}

/** The error of a connect that was cancelled before anything was started. */
export function cancelled(method: string, why: string, cause?: unknown): CancelledError {
  const message = `Cannot connect with ${method}(): ${why}`;
  return new CancelledError(message, cause === undefined ? {} : { cause });
}

/** The same for a connect whose signal has aborted. */
export function cancelledBy(method: string, signal: AbortSignal): CancelledError {
  return cancelled(method, SIGNAL_ABORTED, signal.reason);
}

export const SIGNAL_ABORTED = "its signal was aborted";
