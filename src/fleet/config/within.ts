import { TimeoutError } from "../../errors.ts";
import { watchBounds } from "../../waiting/wait.ts";
import { InventoryError } from "./inventory-error.ts";

/** How long a source, a command or a function of a config may take, in milliseconds. */
const SOURCE_MS = 60_000;

/**
 * Awaits work that another part owns. Rejects with the signal's reason, or with an InventoryError after a minute; the
 * work itself then goes on. Keeps the program alive meanwhile. `what` completes "Cannot".
 */
export function within<T>(
  what: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
  timeoutMs: number = SOURCE_MS,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const hold = setInterval(() => {}, SOURCE_MS);
    const giveUp = (reason: unknown): void => {
      const isLate = reason instanceof TimeoutError;
      reject(isLate ? new InventoryError(reason.message, { cause: reason }) : reason);
      end();
    };
    const unwatch = watchBounds({ timeoutMs, signal }, () => what, giveUp, "result");
    const end = (): void => {
      clearInterval(hold);
      unwatch();
    };
    work().then(resolve, reject).finally(end);
  });
}
