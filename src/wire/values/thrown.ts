/**
 * What user code threw, or another context sent, as text. It is hostile until proven otherwise: getters throw, names are symbols,
 * messages have no string form, proxies are revoked. Describing it never fails, it only loses what cannot be read.
 */

/** What `f` returns; undefined when it throws. */
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

/** `String(value)`, or what type it is where it has no string form. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

/** True of an error of any realm (vm contexts, jest), and of nothing that cannot be asked. */
export function isError(value: unknown): value is Error {
  const claim = attempt(
    () => value instanceof Error || Object.prototype.toString.call(value) === "[object Error]",
  );
  return claim === true;
}

/** What went wrong, as part of a sentence. */
export function messageOf(thrown: unknown): string {
  if (isError(thrown)) return textOf(read(thrown, "message"));
  const message = read(thrown as object, "message");
  if (typeof message === "string") return message;
  return (
    (typeof thrown === "object" && attempt(() => JSON.stringify(thrown))) || textOf(thrown) || typeof thrown
  );
}

/** The stack if there is one, else name and message: for logs. */
export function stackOf(thrown: unknown): string {
  const stack = isError(thrown) ? read(thrown, "stack") : undefined;
  // Not a string where user code has changed what stacks are (`Error.prepareStackTrace`).
  return typeof stack === "string" ? stack : headOf(thrown);
}

/** `RangeError: no more`. */
export function headOf(thrown: unknown): string {
  return isError(thrown) ? `${textOf(read(thrown, "name"))}: ${messageOf(thrown)}` : messageOf(thrown);
}
