import { type WaitOptions, watchBounds } from "../../waiting/wait.ts";

/** How long a source, a command or a function of a config may take, in milliseconds. */
export const SOURCE_MS = 60_000;

/**
 * Awaits work that belongs to somebody else. Rejects with the signal's reason, or with a TimeoutError after a
 * minute; the work itself is then left alone. Keeps the program alive meanwhile. `what` completes "Cannot".
 */
export function within<T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const options: WaitOptions = { timeoutMs: SOURCE_MS, signal };
  return new Promise<T>((resolve, reject) => {
    const hold = setInterval(() => {}, SOURCE_MS);
    const unwatch = watchBounds(options, () => what, end(reject), "result");
    function end<V>(settle: (value: V) => void): (value: V) => void {
      return (value) => {
        clearInterval(hold);
        queueMicrotask(() => unwatch());
        settle(value);
      };
    }
    if (signal?.aborted !== true) work().then(end(resolve), end(reject));
  });
}
