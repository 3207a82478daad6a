/**
 * Errors ⇄ records, in one place, both ways. Thrown objects are hostile until proven otherwise: getters throw,
 * names are functions, causes are circular. Describing one never fails, it only loses what cannot be read.
 */
import { CallError } from "../errors.ts";

const MAX_MESSAGE = 16 * 1024;
const MAX_STACK = 64 * 1024;
/** Their count fits the head's first byte, so that the encoder can fill it in afterwards. */
const MAX_PROPERTIES = 23;

/** Never copied on either side: they have a field of their own, or would change how the error behaves. */
const RESERVED = /^(name|message|stack|cause|__proto__|constructor|to(Locale)?String|valueOf|toJSON|then)$/;

/** Any other class arrives as an Error of that name, as does AggregateError before Node 15. */
const STANDARD = /^(Type|Range|Syntax|Reference|Eval|URI|Aggregate)Error$/;

/** What travels of an error; the unknown values have yet to prove serialisable. */
export type ErrorRecord = readonly [
  name: string,
  message: string,
  stack: string | null,
  properties: readonly (readonly [key: string, value: unknown])[],
  /** Of an AggregateError. */
  errors: readonly unknown[] | null,
  /** None or one: an error may have the cause `undefined`. */
  causes: readonly unknown[],
];

export function isError(value: unknown): value is Error {
  // The second half is for errors of other realms (vm contexts, jest).
  const claim = attempt(
    () => value instanceof Error || Object.prototype.toString.call(value) === "[object Error]",
  );
  return claim === true;
}

/** What `catch` caught as an Error: errors are returned as they are, anything else becomes a `NonError` caused by it. */
export function errorFromThrown(value: unknown): Error {
  if (isError(value)) return value;
  const error = new Error(cut(`Non-error thrown: ${describe(value)}`, MAX_MESSAGE));
  hide(error, "name", "NonError");
  // The real one would show where it was wrapped, not where it was thrown.
  hide(error, "stack", `NonError: ${error.message}`);
  hide(error, "cause", value);
  return error;
}

export function recordOfError(error: object): ErrorRecord {
  const name = read(error, "name");
  const message = read(error, "message");
  const stack = read(error, "stack");
  const properties: [string, unknown][] = [];
  for (const key of new Set(["code", "errno", "syscall"].concat(attempt(() => Object.keys(error)) || []))) {
    const value = RESERVED.test(key) ? undefined : read(error, key);
    if (value !== undefined && properties.length < MAX_PROPERTIES) properties.push([key, value]);
  }
  const errors = attempt(() => Object.getOwnPropertyDescriptor(error, "errors"));
  return [
    typeof name === "string" ? cut(name, MAX_MESSAGE) : "Error",
    typeof message === "string" ? cut(message, MAX_MESSAGE) : "",
    typeof stack === "string" ? cut(stack, MAX_STACK) : null,
    properties,
    // Enumerable ones are among the properties.
    errors && !errors.enumerable && Array.isArray(errors.value) ? errors.value : null,
    attempt(() => "cause" in error) ? [read(error, "cause")] : [],
  ];
}

/** The error of a decoded record, or undefined unless every field has its type. */
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
    causes.length > 1
  ) {
    return undefined;
  }
  const error = create(name, message, isCallError);
  if (error.name !== name) hide(error, "name", name);
  hide(error, "stack", stack === null ? `${name}: ${message}` : stack);
  if (errors !== null) hide(error, "errors", errors);
  if (causes.length > 0) hide(error, "cause", causes[0]);
  for (const key of Object.keys(properties as object)) {
    if (!RESERVED.test(key)) (error as unknown as Fields)[key] = (properties as Fields)[key];
  }
  return error;
}

/** A property as `super("…", { cause })` would make it, for Nodes that do not know the option. */
export function hide(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false });
}

type Fields = Record<string, unknown>;

function create(name: string, message: string, isCallError: boolean): Error {
  // Collecting a stack that is thrown away costs more than all the rest, in time and memory.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = isCallError ? new CallError(message) : new Error(message);
  Error.stackTraceLimit = limit;
  const type = STANDARD.test(name) && (globalThis as unknown as Record<string, { prototype: object }>)[name];
  return type && !isCallError ? Object.setPrototypeOf(error, type.prototype) : error;
}

function describe(value: unknown): unknown {
  return (
    attempt(() => {
      const message = (value as Fields).message;
      return typeof message === "string" ? message : typeof value === "object" && JSON.stringify(value);
    }) ||
    attempt(() => String(value)) ||
    typeof value
  );
}

function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max)}… [${text.length - max} characters more]` : text;
}

function read(object: object, key: string): unknown {
  return attempt(() => (object as Fields)[key]);
}

function attempt<T>(f: () => T): T | undefined {
  try {
    return f();
  } catch {
    return undefined;
  }
}
