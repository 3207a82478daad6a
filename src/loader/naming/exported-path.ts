import { parse as lex } from "es-module-lexer";
import type { AnyFunction } from "../../functions/overloads.ts";
import { read } from "../../wire/values/thrown.ts";

const MAX_DEPTH = 4;
const MAX_OBJECTS = 1_000;

/** The exported names of an ES module, by local name. */
export interface LocalExports {
  readonly byLocal: ReadonlyMap<string, string>;
  /** Whether there is an `export default` of an expression, or of something without a name. */
  readonly hasUnnamedDefault: boolean;
}

/**
 * Reads the exported names from JavaScript or TypeScript. Returns undefined if the text cannot be read (JSX,
 * decorators, …).
 */
export function localExports(source: string): LocalExports | undefined {
  try {
    const byLocal = new Map<string, string>();
    let hasUnnamedDefault = false;
    for (const entry of lex(source)[1]) {
      if (entry.type !== "direct" || entry.typeOnly) continue;
      if (entry.localName !== undefined) byLocal.set(entry.localName, entry.name);
      else if (entry.name === "default") hasUnnamedDefault = true;
    }
    return { byLocal, hasUnnamedDefault };
  } catch {
    return undefined;
  }
}

/**
 * Returns every path to `fn` from an object of named values (a module's variables, CommonJS exports). `fn` may be
 * a value itself, or a static method of a class; own methods come before inherited ones. Reads getters only at the
 * first level, where compilers put them, and only on request, because those of a foreign module may do anything.
 */
export function pathsTo(
  fn: AnyFunction,
  values: object,
  o: { getters: boolean } = { getters: true },
): string[][] {
  const direct: string[][] = [];
  const statics: string[][] = [];
  for (const name of Object.getOwnPropertyNames(values)) {
    const value = o.getters ? read(values, name) : Object.getOwnPropertyDescriptor(values, name)?.value;
    if (value === fn) direct.push([name]);
    else if (typeof value === "function") statics.push(...staticPaths(fn, value, [name], new Set([value])));
  }
  return [...direct, ...statics];
}

/** Returns the path from named values to `fn` through plain objects: `["api", "users", "list"]`. */
export function pathThroughObjects(fn: AnyFunction, values: object): string[] | undefined {
  const named = Object.getOwnPropertyNames(values).map((name) => ({
    path: [name],
    value: read(values, name),
  }));
  const seen = new Set<unknown>();
  for (const { path, value } of named) {
    if (value === fn) return path;
    if (path.length === MAX_DEPTH || seen.size === MAX_OBJECTS || !isPlain(value) || seen.has(value))
      continue;
    seen.add(value);
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(value as object))) {
      named.push({ path: [...path, key], value: property.value });
    }
  }
  return undefined;
}

/** Returns the name of the class in `values`, or of the instance of one, that has `fn` as a method. */
export function ownerOfMethod(fn: AnyFunction, values: object): string | undefined {
  for (const name of Object.getOwnPropertyNames(values)) {
    const value = read(values, name);
    if (typeof value === "function" && holds(value.prototype, fn)) return name;
    if (typeof value === "object" && value !== null && !isPlain(value) && !Array.isArray(value)) {
      for (let owner = value; owner !== null; owner = Object.getPrototypeOf(owner))
        if (holds(owner, fn)) return name;
    }
  }
  return undefined;
}

function staticPaths(fn: AnyFunction, owner: object, path: string[], seen: Set<unknown>): string[][] {
  const found: string[][] = [];
  for (
    let level: unknown = owner;
    typeof level === "function" && level !== Function.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      const value: unknown = property.value;
      if (typeof value !== "function" || key === "prototype") continue;
      if (value === fn) found.push([...path, key]);
      else if (path.length < MAX_DEPTH && !seen.has(value)) {
        seen.add(value);
        found.push(...staticPaths(fn, value, [...path, key], seen));
      }
    }
  }
  return found;
}

function isPlain(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function holds(owner: unknown, fn: AnyFunction): boolean {
  if (typeof owner !== "object" || owner === null || owner === Object.prototype) return false;
  return Object.values(Object.getOwnPropertyDescriptors(owner)).some(
    (property) => property.value === fn || property.get === fn || property.set === fn,
  );
}
