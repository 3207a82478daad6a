import { builtinModules } from "node:module";
import type { FunctionName } from "../../functions/function-name.ts";
import type { AnyFunction } from "../../functions/overloads.ts";
import { read } from "../../wire/values/thrown.ts";

const GLOBALS = [
  ...words(
    "process console performance Buffer Date Math JSON Object Array String Number Boolean BigInt Symbol",
  ),
  ...words("RegExp Reflect Promise Proxy Map Set WeakMap WeakSet WeakRef Error Intl Atomics WebAssembly"),
  ...words("ArrayBuffer SharedArrayBuffer Uint8Array URL URLSearchParams AbortSignal AbortController Blob"),
  ...words(
    "TextEncoder TextDecoder fetch structuredClone queueMicrotask setTimeout setInterval setImmediate",
  ),
  ...words("clearTimeout clearInterval clearImmediate atob btoa isNaN isFinite parseInt parseFloat"),
  ...words("encodeURI encodeURIComponent decodeURI decodeURIComponent escape unescape"),
];

/**
 * Objects below a module or a global that hold functions of their own. Other objects (`process.env`,
 * constants) are data.
 */
const CONTAINERS = new Set(["promises", "posix", "win32", "types", "strict", "webcrypto", "subtle"]);

/**
 * The lazy properties that may be read. Any other getter may print a deprecation warning or load half of
 * Node.
 */
const GETTERS = new Set([
  ...["promises", "webcrypto", "subtle", "getRandomValues", "opendir", "opendirSync"],
  ...["parseArgs", "aborted", "resolveObjectURL"],
]);

/** Singletons with functions on their prototype. */
const INHERITING = new Set(["performance", "crypto", "webcrypto", "subtle"]);

/**
 * Modules that programs rarely use. They are searched last, and not at all if no list of loaded modules shows that
 * they are loaded: some print a warning when they are loaded.
 */
const UNUSUAL = /^_|^(punycode|sys|domain|constants|trace_events|wasi|inspector|repl)\b/;

const MAX_DEPTH = 3;

/**
 * Loading worker_threads, which the inspector does too, replaces `process.chdir` and `process.cwd`. Both the
 * old and the new functions are known, because a caller may hold an old one.
 */
const replaceable = new Map<unknown, FunctionName>();
let loadedNames: readonly string[] = [];
let loadedCount = -1;

type Load = (id: string) => unknown;

/** An object with public functions, and its name. */
interface Root {
  readonly value: unknown;
  readonly module: string;
  readonly path: readonly string[];
}

/**
 * Names a function of Node or of the language by identity: `fs.promises.readFile`, `Date.now`,
 * `process.chdir`. `load` returns the exports of a builtin by its id.
 *
 * A caller who holds a function of a module has loaded that module. So only loaded modules are searched, and
 * the search loads none. The shortest public name wins.
 */
export function findBuiltin(fn: AnyFunction, load: Load): FunctionName | undefined {
  rememberReplaceable();
  // The functions' own names are tried first: most functions are exported under their names, and a complete
  // search takes milliseconds.
  return (
    replaceable.get(fn) ??
    findUnder(fn, load, pathByName) ??
    findUnder(fn, load, directPath) ??
    findUnder(fn, load, deepPath)
  );
}

/** Notes `process.chdir` and `process.cwd`. Call this before any code that may replace them. */
export function rememberReplaceable(): void {
  for (const name of ["chdir", "cwd"] as const)
    replaceable.set(process[name], { module: "global", path: ["process", name] });
}

type PathFinder = (fn: AnyFunction, value: unknown, path: readonly string[]) => readonly string[] | undefined;

function findUnder(fn: AnyFunction, load: Load, pathTo: PathFinder): FunctionName | undefined {
  for (const { value, module, path } of roots(load)) {
    const found = value === fn ? path : pathTo(fn, value, path);
    if (found !== undefined) return knownEverywhere({ module, path: found });
  }
  return undefined;
}

/**
 * Names a submodule by way of its module: targets as old as Node 12 know these submodules only as properties.
 */
function knownEverywhere({ module, path }: FunctionName): FunctionName {
  const [, parent, property] = /^(node:(?:assert|dns|fs|path|util))\/(\w+)$/.exec(module) ?? [];
  if (parent === undefined || property === undefined) return { module, path };
  return { module: parent, path: [property, ...path] };
}

function* roots(load: Load): Generator<Root> {
  const scope = globalThis as unknown as Record<string, unknown>;
  for (const name of GLOBALS) yield { value: scope[name], module: "global", path: [name] };
  // Only if the module is loaded already, because the getter would take milliseconds to load it.
  if (isLoaded("internal/crypto/webcrypto")) {
    yield { value: globalThis.crypto, module: "global", path: ["crypto"] };
  }
  for (const name of loadedBuiltins()) {
    const module = `node:${name}`;
    yield { value: exportsOf(module, load), module, path: [] };
  }
}

function pathByName(fn: AnyFunction, value: unknown, path: readonly string[]): readonly string[] | undefined {
  if (!isOwner(value) || path.length === MAX_DEPTH) return undefined;
  const { name } = fn;
  if (isPublic(name) && member(value, path, name) === fn) {
    // `util.isDate` is an old name of `util.types.isDate`. New Nodes lack the old name.
    const inner = member(value, path, "types");
    return isOwner(inner) && member(inner, path, name) === fn ? [...path, "types", name] : [...path, name];
  }
  if (path.length > 0 && !INHERITING.has(path[path.length - 1] as string)) return undefined;
  for (const key of CONTAINERS) {
    const inner = member(value, path, key);
    const found = inner === value ? undefined : pathByName(fn, inner, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function directPath(fn: AnyFunction, value: unknown, path: readonly string[]): readonly string[] | undefined {
  const found = members(value, path).find(([, inner]) => inner === fn);
  return found && [...path, found[0]];
}

function deepPath(fn: AnyFunction, value: unknown, path: readonly string[]): readonly string[] | undefined {
  if (path.length + 1 >= MAX_DEPTH) return undefined;
  for (const [key, inner] of members(value, path)) {
    const isContainer = typeof inner === "function" ? hasStatics(inner) : CONTAINERS.has(key);
    if (!isContainer || inner === value) continue;
    const at = [...path, key];
    const found = directPath(fn, inner, at) ?? deepPath(fn, inner, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

function members(value: unknown, path: readonly string[]): [key: string, value: unknown][] {
  if (!isOwner(value)) return [];
  return owners(value, path).flatMap((owner) =>
    Object.entries(Object.getOwnPropertyDescriptors(owner))
      .filter(([key]) => isPublic(key))
      .map(([key, property]): [string, unknown] => [key, memberValue(owner, key, property)]),
  );
}

function member(value: object, path: readonly string[], key: string): unknown {
  for (const owner of owners(value, path)) {
    const property = Object.getOwnPropertyDescriptor(owner, key);
    if (property !== undefined) return memberValue(owner, key, property);
  }
  return undefined;
}

/** Reads a property without running code, except getters that are known to be harmless. */
function memberValue(owner: object, key: string, property: PropertyDescriptor): unknown {
  return property.get !== undefined && GETTERS.has(key) ? read(owner, key) : property.value;
}

function owners(value: object, path: readonly string[]): object[] {
  const prototype = INHERITING.has(path[path.length - 1] ?? "") ? Object.getPrototypeOf(value) : null;
  return prototype === null ? [value] : [value, prototype];
}

function isOwner(value: unknown): value is object {
  return typeof value === "function" || (typeof value === "object" && value !== null);
}

function isPublic(key: unknown): key is string {
  if (typeof key !== "string" || key === "" || key.startsWith("_")) return false;
  return key !== "prototype" && key !== "constructor";
}

function hasStatics(fn: object): boolean {
  return Object.getOwnPropertyNames(fn).length > 2;
}

/** The public names of loaded builtins, parents before their submodules. */
function loadedBuiltins(): readonly string[] {
  const loaded = loadList();
  if (loaded?.length === loadedCount) return loadedNames;
  loadedCount = loaded?.length ?? -1;
  const names = builtinModules.map((name) => name.replace(/^node:/, ""));
  loadedNames = names
    .filter((name) => (loaded === undefined ? !UNUSUAL.test(name) : !name.startsWith("_") && isLoaded(name)))
    .sort((a, b) => Number(UNUSUAL.test(a)) - Number(UNUSUAL.test(b)) || depth(a) - depth(b));
  return loadedNames;
}

function isLoaded(name: string): boolean {
  return loadList()?.includes(`NativeModule ${name}`) ?? true;
}

/** Undefined outside of Node. */
function loadList(): string[] | undefined {
  const { moduleLoadList } = process as unknown as { moduleLoadList?: string[] };
  return moduleLoadList?.length ? moduleLoadList : undefined;
}

function exportsOf(module: string, load: Load): unknown {
  try {
    return load(module);
  } catch {
    // The module is listed, but not available in this build or under this permission model.
    return undefined;
  }
}

function depth(name: string): number {
  return name.split("/").length;
}

function words(text: string): string[] {
  return text.split(" ");
}
