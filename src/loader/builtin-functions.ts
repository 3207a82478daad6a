import { builtinModules, createRequire } from "node:module";
import type { AnyFunction, FunctionReference } from "./module-record.ts";

const GLOBALS =
  "process console performance Buffer Date Math JSON Object Array String Number Boolean BigInt Symbol RegExp " +
  "Reflect Promise Proxy Map Set WeakMap WeakSet WeakRef Error Intl Atomics WebAssembly ArrayBuffer SharedArrayBuffer " +
  "Uint8Array URL URLSearchParams AbortSignal AbortController Blob TextEncoder TextDecoder " +
  "fetch structuredClone queueMicrotask setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate " +
  "atob btoa isNaN isFinite parseInt parseFloat encodeURI encodeURIComponent decodeURI decodeURIComponent escape unescape";

/** Objects below a module or global that hold functions of their own; others (`process.env`, constants) are data. */
const CONTAINERS = new Set(["promises", "posix", "win32", "types", "strict", "webcrypto", "subtle"]);

/** The lazy properties worth forcing. Any other getter may warn about its deprecation or load half of Node. */
const GETTERS = new Set([
  ...["promises", "webcrypto", "subtle", "getRandomValues", "opendir", "opendirSync"],
  ...["parseArgs", "aborted", "resolveObjectURL"],
]);

/** Singletons whose functions are on their prototype. */
const INHERITING = new Set(["performance", "crypto", "webcrypto", "subtle"]);

/** Loaded only by programs that ask for them, and then found in the list of what is loaded; some warn on load. */
const UNUSUAL = /^_|^(punycode|sys|domain|constants|trace_events|wasi|inspector|repl)\b/;

const MAX_DEPTH = 3;

const require = createRequire(import.meta.url);
const index = new Map<unknown, FunctionReference>();
const indexed = new Set<string>();
let loadedNames: readonly string[] = [];
let loadedCount = -1;

/** An object with public functions, and where it is. */
interface Owner {
  readonly value: object;
  readonly module: string;
  readonly path: readonly string[];
}

/**
 * Names a function of Node or of the language by identity: `fs.promises.readFile`, `Date.now`, `process.chdir`.
 *
 * A caller who holds a function of a module has loaded that module, so only loaded modules are looked through and no
 * look-up loads one. The shortest public name wins.
 */
export function findBuiltin(fn: AnyFunction): FunctionReference | undefined {
  return index.get(fn) ?? findByName(fn) ?? findInIndex(fn);
}

/**
 * Loading worker_threads, which the inspector does too, puts another function into the place of `process.chdir` and
 * `process.cwd`. To be called before anything that may load it; a caller may hold the old ones.
 */
export function rememberReplaceable(): void {
  for (const name of ["chdir", "cwd"] as const)
    index.set(process[name], { module: "global", path: ["process", name] });
}

/** Most functions are called what they are exported as. Trying that spares making an index of thousands of others. */
function findByName(fn: AnyFunction): FunctionReference | undefined {
  const { name } = fn;
  if (typeof name !== "string" || name === "" || name.startsWith("_")) return undefined;
  if (GLOBALS.includes(name) && (globalThis as Record<string, unknown>)[name] === fn) {
    return { module: "global", path: [name] };
  }
  for (const { value, module, path } of likelyOwners()) {
    const isOwn = owners(value, path.at(-1)).some((owner) => valueOf(owner, name) === fn);
    if (isOwn) return { module, path: [...path, name] };
  }
  return undefined;
}

/** Globals and loaded modules, each followed by the containers in it. */
function* likelyOwners(): Generator<Owner> {
  for (const name of GLOBALS) yield* withContainers(globalThis, "global", [name])
  if (isLoaded("internal/crypto/webcrypto")) yield* withContainers(globalThis.crypto, "global", ["crypto"]);
  for (const name of loadedBuiltins()) yield* withContainers(load(name), `node:${name}`, []);
}

function findInIndex(fn: AnyFunction): FunctionReference | undefined {
  indexGlobals();
  // The global getter takes milliseconds to load what a caller with one of its functions has loaded.
  if (isLoaded("internal/crypto/webcrypto")) add(globalThis.crypto, "global", ["crypto"]);
  for (const name of loadedBuiltins()) indexModule(name);
  return index.get(fn);
}
function indexModule(name: string): void {
  if (indexed.has(name)) return;
  indexed.add(name);
  try {
    const exports = require(`node:${name}`);
    add(exports, `node:${name}`, []);
  } catch {
    // Listed but not to be had in this build or under this permission model.
  }
}

/** Public names of what is loaded, parents before their submodules; undefined when that has not changed. */
function loadedBuiltins(): string[] | undefined {
  const loaded = loadList();
  if (loaded?.length === loadedCount) return undefined;
  loadedCount = loaded?.length ?? 0;
  const names = builtinModules.map((name) => name.replace(/^node:/, ""));
  const usable =
    loaded === undefined
      ? names.filter((name) => !UNUSUAL.test(name))
      : names.filter((name) => !name.startsWith("_") && isLoaded(name));
  return usable.sort((a, b) => Number(UNUSUAL.test(a)) - Number(UNUSUAL.test(b)) || depth(a) - depth(b));
}

function isLoaded(name: string): boolean {
  return loadList()?.includes(`NativeModule ${name}`) ?? true;
}

function loadList(): string[] | undefined {
  return (process as unknown as { moduleLoadList?: string[] }).moduleLoadList;
}

function depth(name: string): number {
  return name.split("/").length;
}

function add(value: unknown, module: string, path: readonly string[]): void {
  if (typeof value === "function") {
    if (!index.has(value)) index.set(value, { module, path });
  } else if (typeof value !== "object" || value === null) return;
  if (path.length >= MAX_DEPTH) return;
  const functions = new Map<string, unknown>();
  for (const owner of owners(value, path.at(-1))) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (key.startsWith("_") || key === "prototype" || key === "constructor" || functions.has(key)) continue;
      const member = "value" in property ? property.value : GETTERS.has(key) ? read(value, key) : undefined;
      if (typeof member === "function" || CONTAINERS.has(key)) functions.set(key, member);
    }
  }
  // Two passes: `path.posix.join` is `path.join`, which is the better name.
  for (const [key, member] of functions) {
    if (typeof member === "function" && !index.has(member))
      index.set(member, { module, path: [...path, key] });
  }
  for (const [key, member] of functions) {
    if (member !== value && (typeof member !== "function" || hasStatics(member)))
      add(member, module, [...path, key]);
  }
}

function owners(value: object, name: string | undefined): object[] {
  const prototype = Object.getPrototypeOf(value);
  return name !== undefined && INHERITING.has(name) && prototype !== null ? [value, prototype] : [value];
}

function hasStatics(fn: Function): boolean {
  return Object.getOwnPropertyNames(fn).length > 2;
}

function read(owner: object, key: string): unknown {
  try {
    return (owner as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}
