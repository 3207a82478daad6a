import { TimeoutError } from "../errors.ts";
import type { Broker } from "./broker.ts";

/** Limits of a wait. */
export interface WaitOptions {
  /** The longest wait in milliseconds. Without it the wait has no time limit. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait when it aborts. The wait then rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The longest delay of a timer. A longer one would fire at once. */
const MAX_TIMER_MS = 0x7fffffff;

/**
 * Waits until `start` settles, the time is up, or the signal aborts. `start` gets two functions that settle the
 * wait; only the first call of them has an effect. `stop` is called exactly once, when the wait ends for any
 * reason, even if `start` throws. If the signal has already aborted, neither `start` nor `stop` is called. `what`
 * completes the message of a TimeoutError: `Cannot …`. The wait keeps the program alive.
 *
 * @internal
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
 * Calls `giveUp` with the reason when the time is up or the signal aborts; at once if the signal has already
 * aborted. Returns a function that stops watching. Keeps nothing alive. `wanted` names what the wait is for.
 */
export function watchBounds(
  { timeoutMs, signal }: WaitOptions,
  what: () => string,
  giveUp: (reason: unknown) => void,
  wanted = "answer",
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const unwatch = signal && onAbort(signal, () => giveUp(signal.reason));
  if (signal?.aborted !== true && timeoutMs !== undefined) {
    timer = startTimer(timeoutMs, () => {
      giveUp(new TimeoutError(`Cannot ${what()}: no ${wanted} within ${timeoutMs} ms`));
    });
    timer?.unref();
  }
  return () => {
    clearTimeout(timer);
    unwatch?.();
  };
}

interface Watched {
  readonly watchers: Set<() => void>;
  onEvent(): void;
}

const watched = new WeakMap<AbortSignal, Watched>();

/**
 * Calls `fn` once when the signal aborts; at once if it has already aborted. Returns a function that stops
 * this. All waits on a signal share one listener, because Node warns of a leak at the eleventh.
 */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  if (signal.aborted) {
    fn();
    return () => undefined;
  }
  const { watchers, onEvent } = watched.get(signal) ?? watch(signal);
  // A function of its own for each wait, because two waits may pass the same `fn`.
  const watcher = (): void => fn();
  watchers.add(watcher);
  return () => {
    if (watchers.delete(watcher) && watchers.size === 0) {
      signal.removeEventListener("abort", onEvent);
      watched.delete(signal);
    }
  };
}

function watch(signal: AbortSignal): Watched {
  const watchers = new Set<() => void>();
  const onEvent = (): void => {
    // A copy, checked again for each: one watcher may end the wait of another.
    for (const watcher of [...watchers]) if (watchers.has(watcher)) watcher();
  };
  const entry = { watchers, onEvent };
  watched.set(signal, entry);
  signal.addEventListener("abort", onEvent);
  return entry;
}

/**
 * Starts a timer for a limit that the user gave. If the limit is longer than a timer can run, starts none, so
 * that there is no limit.
 */
export function startTimer(ms: number, onTime: () => void): NodeJS.Timeout | undefined {
  return ms > MAX_TIMER_MS ? undefined : setTimeout(onTime, ms);
}
