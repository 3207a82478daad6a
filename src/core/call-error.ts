import { CallError } from "../errors.ts";
import { define, errorFromThrown, isCallError, RESERVED } from "../wire/values/error-value.ts";
import { attempt, headOf, messageOf, read, stackOf } from "../wire/values/thrown.ts";

/**
 * The {@link CallError} that tells a caller what a function threw; `cause` is the thrown error itself. Of one that is a CallError itself
 * it is a copy: whatever was thrown, what this answers can be read, sent and awaited. Never throws.
 */
export function callErrorFrom(thrown: unknown): CallError {
  const error = errorFromThrown(thrown);
  const isOne = isCallError(error);
  const callError = new CallError(
    (isOne ? messageOf : headOf)(error),
    isOne && !attempt(() => "cause" in error) ? undefined : { cause: isOne ? read(error, "cause") : error },
  );
  for (const key of attempt(() => Object.keys(error)) || []) {
    // A `then` would make a promise of it.
    if (!RESERVED.test(key)) define(callError, key, read(error, key), true);
  }
  define(callError, "stack", (isOne ? "" : "CallError: ") + stackOf(error), false);
  return callError;
}
