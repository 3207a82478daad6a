import { Secret } from "../wire/values/secret.ts";
import { attempt, messageOf, read } from "../wire/values/thrown.ts";

/**
 * What is wrong with an option: its type (a TypeError), its value (a TypeError), or a number or length out of
 * range (a RangeError).
 */
export type OptionCode = "ERR_INVALID_ARG_TYPE" | "ERR_INVALID_ARG_VALUE" | "ERR_OUT_OF_RANGE";

/** Whether an error code is that of an invalid option. */
export function isOptionCode(code: unknown): code is OptionCode {
  return code === "ERR_INVALID_ARG_TYPE" || code === "ERR_INVALID_ARG_VALUE" || code === "ERR_OUT_OF_RANGE";
}

/** The message of an error about an option. Undefined for any other thrown value. */
export function refusalIn(thrown: unknown): string | undefined {
  return isOptionCode(read(thrown as object, "code")) ? messageOf(thrown) : undefined;
}

/** The type of an option. */
export interface OptionType<T> {
  /** Completes "must be": `a string`. */
  readonly wanted: string;
  /** Whether the option is required. */
  readonly isRequired?: boolean;
  /** For an old name of an option: the name that replaces it, under which the value is taken. */
  readonly renamedTo?: string;
  /** Returns the value to use, copied if its owner could change it. Throws the errors that `refuse` makes. */
  take(value: unknown, refuse: Refuse): T;
}

/** Makes the error. `part` and `given` say which element or member of the value is wrong. */
export type Refuse = (code: OptionCode, part?: string, given?: unknown) => Error;

/** The types of all options of a function, by name. The compiler checks that none is missing. */
export type OptionTable<O> = { readonly [K in keyof O]-?: OptionType<Exclude<O[K], undefined>> };

/** Strings longer than this are cut in errors. */
const MAX_SHOWN = 60;
/** The names of secrets among options of methods that are not this library's. */
const SECRET_NAME = /pass(word|phrase)|secret|token|credential/i;

/** The code of the process warning about the old name of an option. */
export const RENAMED_OPTION = "MITOGEN_DEP0001";

const ours = new WeakSet<object>();
/** Old names that this process has warned of. */
const warnedNames = new Set<string>();

/**
 * The options that were given, checked by their table: a plain object that nobody else has. `undefined` means absent. Throws a TypeError or
 * RangeError with an {@link OptionCode} that names the option, what was given (secrets never), and what it must be. `what` completes
 * "Cannot"; with `more`, options that are not in the table are taken as they are. The first use of an old name emits a process warning; if both
 * names are given, the new one counts.
 */
export function readOptions<O extends object>(
  what: string,
  options: unknown,
  table: OptionTable<O>,
  more = false,
): O {
  if (!isOptions(options)) {
    throw misuse(
      "ERR_INVALID_ARG_TYPE",
      `Cannot ${what}: the options must be an object, got ${show(options)}`,
    );
  }
  const types = table as unknown as Readonly<Record<string, OptionType<unknown>>>;
  const all = Object.keys(types);
  const known = (name: string): boolean => all.includes(name);
  const taken: Record<string, unknown> = {};
  for (const name of guarded(what, "the options", () => namesIn(options, known))) {
    if (!known(name) && !more) {
      const names = all.filter((each) => types[each]?.renamedTo === undefined).join(", ") || "none";
      throw misuse(
        "ERR_INVALID_ARG_VALUE",
        `Cannot ${what}: it has no option ${show(name)}; it has ${names}`,
      );
    }
    guarded(what, name, () => {
      const value = (options as Record<string, unknown>)[name];
      if (value === undefined) return;
      const type = known(name) ? types[name] : undefined;
      const used = type === undefined ? value : takeOption(what, name, value, type);
      const newName = type?.renamedTo;
      if (newName !== undefined) {
        warnOfOldName(what, name, newName);
        if (newName in taken) return;
      }
      // Not assigned, because the name may be `__proto__`.
      Object.defineProperty(taken, newName ?? name, {
        value: used,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    });
  }
  for (const name of all) {
    const type = types[name] as OptionType<unknown>;
    if (type.isRequired === true && taken[name] === undefined) takeOption(what, name, undefined, type);
  }
  return taken as O;
}

/** Whether the value is an object with named members. A revoked proxy counts as one until it is read. */
export function isOptions(value: unknown): value is object {
  return typeof value === "object" && value !== null && attempt(() => Array.isArray(value)) !== true;
}

/** Checks one value: an argument, or the result of a function of the caller. `name` completes "…must be". */
export function takeOption<T>(what: string, name: string, value: unknown, type: OptionType<T>): T {
  return guarded(what, name, () =>
    type.take(value, (code, part = "", ...others) => {
      const given = others.length > 0 ? others[0] : value;
      const shown = SECRET_NAME.test(name) ? kindOf(given) : show(given);
      return misuse(code, `Cannot ${what}: ${name}${part} must be ${type.wanted}, got ${shown}`);
    }),
  );
}

/** Throws a TypeError if the value is no router, before anything else is done with it. */
export function checkRouter(what: string, router: unknown): void {
  if (typeof read(router as object, "listen") === "function") return;
  throw misuse("ERR_INVALID_ARG_TYPE", `Cannot ${what}: the router must be a Router, got ${show(router)}`);
}

/** `instanceof` that no proxy can make throw. */
export function isMadeBy<T>(type: abstract new (...args: never[]) => T, value: unknown): value is T {
  return attempt(() => value instanceof type) === true;
}

/** Throws a TypeError for what no class of ours has made, before anything of it is asked. `name` and `wanted` complete "the … must be …". */
export function checkMadeBy(
  type: abstract new (...args: never[]) => unknown,
  what: string,
  name: string,
  wanted: string,
  value: unknown,
): void {
  if (isMadeBy(type, value)) return;
  throw misuse("ERR_INVALID_ARG_TYPE", `Cannot ${what}: ${name} must be ${wanted}, got ${show(value)}`);
}

/** Throws a TypeError for a context of another router: its id means another context here. `name` completes "… must be". */
export function checkOwn(
  what: string,
  name: string,
  context: { readonly name: string; readonly router: unknown } | undefined,
  router: unknown,
): void {
  if (context === undefined || context.router === router) return;
  const given = `${show(context.name)} of another Router`;
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    `Cannot ${what}: ${name} must be a Context of this Router, got ${given}`,
  );
}

/** What a list of the caller's holds. Throws a TypeError for what is no list. `name` and `wanted` complete "… must be …". */
export function readList<T>(what: string, name: string, wanted: string, given: Iterable<T>): T[] {
  const isList = attempt(() => typeof given === "object" && typeof given[Symbol.iterator] === "function");
  if (isList === true) return guarded(what, name, () => Array.from(given));
  throw misuse("ERR_INVALID_ARG_TYPE", `Cannot ${what}: ${name} must be ${wanted}, got ${show(given)}`);
}

/** Makes an error of misuse, of the class that belongs to its code. */
export function misuse(code: OptionCode, message: string): Error {
  const type = code === "ERR_OUT_OF_RANGE" ? RangeError : TypeError;
  const error = Object.assign(new type(message), { code });
  ours.add(error);
  return error;
}

/** Formats a value for an error: short, on one line, and without running any code of its owner. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value);
  }
  return typeof value === "number" || typeof value === "boolean" || value == null
    ? String(value)
    : kindOf(value);
}

function kindOf(value: unknown): string {
  // The traps of a proxy may throw, also those that `instanceof` and `Array.isArray` run.
  if (isMadeBy(Secret, value)) return "a Secret";
  if (typeof value === "function") return "a function";
  if (typeof value !== "object") return value === undefined ? "undefined" : `a ${typeof value}`;
  if (value === null) return "null";
  return attempt(() => Array.isArray(value)) === true ? "an array" : "an object";
}

function warnOfOldName(what: string, oldName: string, newName: string): void {
  if (warnedNames.has(oldName)) return;
  warnedNames.add(oldName);
  const message = `Option ${oldName} of "${what}" has a new name: write ${newName}. A later version drops the old name.`;
  process.emitWarning(message, "DeprecationWarning", RENAMED_OPTION);
}

/** The own names of the options, and inherited names that are known options. */
function namesIn(options: object, isKnown: (name: string) => boolean): string[] {
  const names = Object.keys(options);
  for (const name in options) if (isKnown(name) && !names.includes(name)) names.push(name);
  return names;
}

/**
 * Reads an option. If code of the caller, such as a getter or a proxy, throws meanwhile, the option is
 * reported as one that cannot be read.
 */
function guarded<T>(what: string, name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (typeof error === "object" && error !== null && ours.has(error)) throw error;
    const refusal = misuse(
      "ERR_INVALID_ARG_VALUE",
      `Cannot ${what}: ${name} cannot be read, it threw an error`,
    );
    throw Object.assign(refusal, { cause: error });
  }
}
