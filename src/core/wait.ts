import { TimeoutError } from "../errors.ts";
import type { Broker } from "./broker.ts";

/** Bounds on a wait. */
export interface WaitOptions {
  /** Milliseconds; without it the wait ends with a value or an error only. */
  readonly timeoutMs?: number | undefined;
  /** Gives up when it aborts; the wait rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The longest delay a timer takes; anything above would fire at once. */
const MAX_TIMER_MS = 0x7fffffff;

/**
 * One wait with everything that can end it. `start` gets the two ways to settle, `stop` is called exactly once, when
 * the wait has ended for any reason, `start` throwing included, and must make sure that neither is called later to any effect. While it lasts the
 * program stays alive.
 */
export function awaitWithin<T>(
  broker: Pick<Broker, "hold" | "release">,
  options: WaitOptions,
  what: () => string,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  stop: () => void,
): Promise<T> {
  const { signal } = options;
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    let isSettled = false;
    const settle = (): boolean => {
      if (isSettled) return false;
      isSettled = true;
      unwatch();
      broker.release();
      stop();
      return true;
    };
    const fail = (error: unknown) => {
      if (settle()) reject(error);
    };
    broker.hold();
    const unwatch = watchBounds(options, what, fail);
    try {
      start((value) => {
        if (settle()) resolve(value);
      }, fail);
    } catch (error) {
      fail(error);
    }
  });
}

/**
 * Calls `giveUp` with the reason when the time is up or the signal aborts, at once if it has aborted already. The answer
 * ends that. Keeps nothing alive.
 */
export function watchBounds(
  { timeoutMs, signal }: WaitOptions,
  what: () => string,
  giveUp: (reason: unknown) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => giveUp(signal?.reason);
  if (signal?.aborted === true) onAbort();
  else {
    signal?.addEventListener("abort", onAbort);
    if (timeoutMs !== undefined) {
      timer = startTimer(timeoutMs, () => {
        giveUp(new TimeoutError(`Cannot ${what()}: no answer within ${timeoutMs} ms`));
      });
      timer?.unref();
    }
  }
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
}

/** For what a user may bound: no timer, and so no limit, where it would be longer than a timer can be. */
export function startTimer(ms: number, onTime: () => void): NodeJS.Timeout | undefined {
  return ms > MAX_TIMER_MS ? undefined : setTimeout(onTime, ms);
}
