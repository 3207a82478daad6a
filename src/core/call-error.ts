import { CallError } from "../errors.ts";
import { errorFromThrown, isError } from "../wire/error-value.ts";

/** The {@link CallError} that tells a caller what a function threw; `cause` is the thrown error itself. Never throws. */
export function callErrorFrom(thrown: unknown): CallError {
  const error = isError(thrown) ? thrown : errorFromThrown(thrown);
  const callError = new CallError(`${read(error, "name")}: ${read(error, "message")}`, { cause: error });
  for (const key of readKeys(error)) {
    if (key === "name" || key === "message" || key === "stack" || key === "cause") continue;
    define(callError, key, read(error, key), true);
  }
  define(callError, "stack", `CallError: ${read(error, "stack") ?? callError.message}`, false);
  return callError;
}

function readKeys(error: Error): string[] {
  try {
    return Object.keys(error);
  } catch {
    return [];
  }
}

/** A property of a thrown object; a getter of user code may throw. */
function read(error: object, key: string): unknown {
  try {
    return (error as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function define(target: object, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true });
}
