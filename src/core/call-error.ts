import { CallError } from "../errors.ts";
import { define, errorFromThrown, isCallError, RESERVED } from "../wire/values/error-value.ts";
import { attempt, headOf, messageOf, read, stackOf } from "../wire/values/thrown.ts";

/**
 * Makes the {@link CallError} that reports what a function threw. Its `cause` is the thrown error itself. If
 * that is a CallError, the result is a copy. Whatever was thrown, the result can be read, sent and awaited.
 * Never throws.
 */
export function callErrorFrom(thrown: unknown): CallError {
  const error = errorFromThrown(thrown);
  const isOne = isCallError(error);
  const callError = new CallError(
    (isOne ? messageOf : headOf)(error),
    isOne && !attempt(() => "cause" in error) ? undefined : { cause: isOne ? read(error, "cause") : error },
  );
  for (const key of attempt(() => Object.keys(error)) || []) {
    // Not `then`, which would make a promise of it.
    if (!RESERVED.test(key)) define(callError, key, read(error, key), true);
  }
  define(callError, "stack", (isOne ? "" : "CallError: ") + stackOf(error), false);
  return callError;
}
