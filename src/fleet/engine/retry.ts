import { isOptionCode } from "../../options/options.ts";
import { onAbort, startTimer } from "../../waiting/wait.ts";
import { read } from "../../wire/values/thrown.ts";

/**
 * Errors of a connect after which another try would fail in the same way or do harm: some systems lock accounts
 * after wrong passwords.
 */
const FINAL_CODES: ReadonlySet<unknown> = new Set([
  "ERR_PASSWORD",
  "ERR_HOST_KEY",
  "ERR_CANCELLED",
  "ERR_NO_NODE",
  "ERR_NODE_VERSION",
  "ERR_UNKNOWN_USER",
  "ERR_UNKNOWN_CONTAINER",
  "ERR_NO_SHELL",
  "ERR_COMMAND_FORCED",
  "ERR_POLICY",
  "ERR_NO_RUNTIME",
  "ERR_NO_SPACE",
  "ERR_PROVISION",
]);

/** The pause before the first retry. It doubles for each further one. */
const FIRST_PAUSE_MS = 250;
export const MAX_PAUSE_MS = 15_000;

/** Whether the connect may succeed if it is tried again. */
export function isConnectWorthRetry(error: unknown): boolean {
  return !isMisuse(error) && !FINAL_CODES.has(read(Object(error), "code"));
}

/** Whether the error is one of this process: a function or an argument that cannot travel, a wrong option. */
export function isMisuse(error: unknown): boolean {
  return error instanceof TypeError || isOptionCode(read(Object(error), "code"));
}

/** Waits before retry number `retry`, from 0. Rejects with the signal's reason if that aborts meanwhile. */
export async function pauseBeforeRetry(retry: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = startTimer(Math.min(FIRST_PAUSE_MS * 2 ** retry, MAX_PAUSE_MS), () => {
      unwatch();
      resolve();
    });
    const unwatch = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** The promise, or the signal's reason as soon as that aborts. What the promise comes to later is dropped. */
export function orAbort<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const unwatch = onAbort(signal, () => reject(signal.reason));
    promise.then(
      (value) => {
        unwatch();
        resolve(value);
      },
      (error) => {
        unwatch();
        reject(error);
      },
    );
  });
}
