/** Converts errors to records and back. Thrown values are read as in src/wire/values/thrown.ts. */
import { CallError } from "../../errors.ts";
import { attempt, isError, messageOf, read } from "./thrown.ts";

export const MAX_MESSAGE: number = 16 * 1024;
const MAX_STACK = 32 * 1024;
/** Bounds what an error with a dictionary of its own adds to a message. */
const MAX_PROPERTIES = 23;

/**
 * Properties that are never copied on either side: they have a field of their own, or would change how the
 * error behaves.
 */
export const RESERVED: RegExp =
  /^(name|message|stack|cause|__proto__|constructor|to(Locale)?String|valueOf|toJSON|then)$/;

/**
 * The names of classes that arrive as themselves. An error of any other class arrives as an Error of that name.
 * So does AggregateError before Node 15.
 */
const STANDARD = /^(Type|Range|Syntax|Reference|Eval|URI|Aggregate)Error$/;

/** The fields of an error that travel. The unknown values may turn out not to be serialisable. */
export type ErrorRecord = readonly [
  name: string,
  message: string,
  stack: string | null,
  properties: readonly (readonly [key: string, value: unknown])[],
  /** The errors of an AggregateError. */
  errors: readonly unknown[] | null,
  /** Empty or one element, because an error may have the cause `undefined`. */
  causes: readonly unknown[],
];

/**
 * Returns a thrown value as an Error: errors unchanged, anything else as a `NonError` with the value as its
 * cause.
 */
export function errorFromThrown(value: unknown): Error {
  if (isError(value)) return value;
  const error = new Error(cut(`Non-error thrown: ${messageOf(value)}`, MAX_MESSAGE));
  hide(error, "name", "NonError");
  // The real stack would show where the value was wrapped, not where it was thrown.
  hide(error, "stack", `NonError: ${error.message}`);
  hide(error, "cause", value);
  return error;
}

export function isCallError(value: unknown): value is CallError {
  return attempt(() => value instanceof CallError) === true;
}

export function recordOfError(error: object): ErrorRecord {
  const name = read(error, "name");
  const message = read(error, "message");
  const stack = read(error, "stack");
  const text = typeof message === "string" ? message : "";
  const short = cut(text, MAX_MESSAGE);
  const properties: [string, unknown][] = [];
  for (const key of new Set(["code", "errno", "syscall"].concat(attempt(() => Object.keys(error)) || []))) {
    const value = RESERVED.test(key) ? undefined : read(error, key);
    if (value !== undefined && properties.length < MAX_PROPERTIES) properties.push([key, value]);
  }
  const errors = attempt(() => {
    const { enumerable, value } = Object.getOwnPropertyDescriptor(error, "errors") as PropertyDescriptor;
    // Enumerable ones are already among the properties.
    return !enumerable && Array.isArray(value) ? value : undefined;
  });
  return [
    typeof name === "string" ? cut(name, MAX_MESSAGE) : "Error",
    short,
    // The frames come after the message.
    typeof stack === "string"
      ? cut(
          stack.replace(text, () => short),
          MAX_STACK,
        )
      : null,
    properties,
    errors || null,
    attempt(() => "cause" in error) ? [read(error, "cause")] : [],
  ];
}

/** Makes the error from a decoded record. Undefined unless every field has its type. */
export function errorOfRecord(fields: readonly unknown[], isCallError: boolean): Error | undefined {
  const [name, message, stack, properties, errors, causes] = fields;
  if (
    fields.length !== 6 ||
    typeof name !== "string" ||
    typeof message !== "string" ||
    (stack !== null && typeof stack !== "string") ||
    Object.prototype.toString.call(properties) !== "[object Object]" ||
    (errors !== null && !Array.isArray(errors)) ||
    !Array.isArray(causes) ||
    causes.length > 1 ||
    // 100,000 characters are more than the sender leaves. Node takes stacks apart when it shows an error.
    (name + message + stack)[99999]
  ) {
    return undefined;
  }
  const error = create(name, message, isCallError);
  if (error.name !== name) hide(error, "name", name);
  hide(error, "stack", stack === null ? `${name}: ${message}` : stack);
  if (errors !== null) hide(error, "errors", errors);
  if (causes.length > 0) hide(error, "cause", causes[0]);
  for (const key of Object.keys(properties as object)) {
    const value = (properties as Fields)[key];
    // Defined, not assigned, because an inherited property of that name may be frozen.
    if (!RESERVED.test(key) && value !== undefined) define(error, key, value, true);
  }
  return error;
}

/** Sets a property as `super("…", { cause })` would, for Nodes that do not know the option. */
export function hide(error: Error, key: string, value: unknown): void {
  define(error, key, value, false);
}

/** Defines a property. An assignment would fail if user code has frozen an inherited property. */
export function define(object: object, key: string, value: unknown, enumerable: boolean): void {
  // Deleted first, because V8 would make the stack before redefining it, with user code from
  // `Error.prepareStackTrace`.
  delete (object as Fields)[key];
  Object.defineProperty(object, key, { value, writable: true, configurable: true, enumerable });
}

type Fields = Record<string, unknown>;

function create(name: string, message: string, isCallError: boolean): Error {
  // Collecting a stack that is not used would cost more time and memory than all the rest.
  const limit = read(Error, "stackTraceLimit");
  limitStacks(0);
  const error = isCallError ? new CallError(message) : new Error(message);
  limitStacks(limit);
  const type = STANDARD.test(name) && (globalThis as unknown as Record<string, { prototype: object }>)[name];
  return type && !isCallError ? Object.setPrototypeOf(error, type.prototype) : error;
}

/** Sets the length of stacks. Has no effect if user code has frozen the property. */
function limitStacks(limit: unknown): void {
  attempt(() => {
    Error.stackTraceLimit = limit as number;
  });
}

export function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max)}… [${text.length - max} characters more]` : text;
}
