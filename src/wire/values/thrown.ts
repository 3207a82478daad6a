/**
 * Turns values that user code threw, or that another context sent, into text. Such a value may be hostile:
 * getters throw, names are symbols, messages have no string form, proxies are revoked. The description never
 * fails; it only omits what cannot be read.
 */

/** Returns the result of `f`, or undefined if it throws. */
export function attempt<T>(f: () => T): T | undefined {
  try {
    return f();
  } catch {
    return undefined;
  }
}

export function read(object: object, key: string): unknown {
  return attempt(() => (object as Record<string, unknown>)[key]);
}

/** `String(value)`, or the type if the value has no string form. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

/** True for an error of any realm (vm contexts, jest), and for nothing that throws when it is examined. */
export function isError(value: unknown): value is Error {
  const claim = attempt(
    () => value instanceof Error || Object.prototype.toString.call(value) === "[object Error]",
  );
  return claim === true;
}

/** Returns the message of a thrown value, as part of a sentence. */
export function messageOf(thrown: unknown): string {
  if (isError(thrown)) return textOf(read(thrown, "message"));
  const message = read(thrown as object, "message");
  if (typeof message === "string") return message;
  return (
    (typeof thrown === "object" && attempt(() => JSON.stringify(thrown))) || textOf(thrown) || typeof thrown
  );
}

/** Returns the stack if there is one, otherwise name and message. For logs. */
export function stackOf(thrown: unknown): string {
  const stack = isError(thrown) ? read(thrown, "stack") : undefined;
  // Not a string if user code has changed what stacks are (`Error.prepareStackTrace`).
  return typeof stack === "string" ? stack : headOf(thrown);
}

/** Returns name and message: `RangeError: no more`. */
export function headOf(thrown: unknown): string {
  return isError(thrown) ? `${textOf(read(thrown, "name"))}: ${messageOf(thrown)}` : messageOf(thrown);
}
