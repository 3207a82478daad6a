import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { FunctionName } from "../../functions/function-name.ts";
import type { AnyFunction } from "../../functions/overloads.ts";
import { libraryUrl } from "../../library.ts";
import { attempt } from "../../wire/values/thrown.ts";
import { ownRequire } from "../own-require.ts";
import { readSourceNow } from "../resolve/source-text.ts";
import { findBuiltin, rememberReplaceable } from "./builtin-functions.ts";
import { unnamedDefaultPath } from "./default-export.ts";
import { exportCure, nextRefusal, otherRuntime, placeWithoutFile } from "./environment.ts";
import {
  type LocalExports,
  localExports,
  ownerOfMethod,
  pathsTo,
  pathThroughObjects,
  valuesOf,
} from "./exported-path.ts";
import {
  type FunctionOrigin,
  functionOrigin,
  learnUrlsOnStack,
  likelyUrl,
  originUrl,
  scriptSource,
} from "./function-origin.ts";
import { exportedAt, moduleScope, runnerModule } from "./runner-module.ts";

/** How many levels of captured variables of a wrapper are searched for the module that made it. */
const MAX_WRAPPERS = 3;

const METHOD_CURE = "export a function, or a static method, that takes the object's data as arguments";

const NATIVE = /\{\s*\[native code\]\s*\}$/;

const known = new WeakMap<AnyFunction, FunctionName>();
const knownClasses = new WeakMap<AnyFunction, FunctionName>();
const exportsById = new Map<string, LocalExports | undefined>();

/**
 * Names a function by its module and the path of properties to it, so that another process can find it.
 *
 * The name is found by identity, never by a name alone: the reference leads to this very function. Works
 * while the module is still running its top level. Throws a TypeError with the cure if the function cannot be
 * named. The answer for a function never changes, so it is kept.
 */
export function nameFunction(fn: AnyFunction): FunctionName {
  if (typeof fn !== "function")
    throw new TypeError(`Cannot call ${typeof fn} in another process: it is not a function`);
  let reference = known.get(fn);
  if (reference === undefined) {
    reference = find(fn);
    known.set(fn, reference);
  }
  return reference;
}

/**
 * Names a class in the same way, for another process that makes instances. Throws a TypeError with the cure.
 */
export function nameClass(type: AnyFunction): FunctionName {
  let reference = knownClasses.get(type);
  if (reference === undefined) {
    rememberReplaceable();
    const origin = functionOrigin(type);
    reference = findInModule(type, origin, false) ?? findInAnyCommonJs(type);
    if (reference === undefined) {
      const url = originUrl(origin);
      const [place, why] =
        moduleId(url) === undefined
          ? ["", "defined in code that has no file; move it into a module and export it there"]
          : [` (${url.slice(0, 300)})`, "not exported; export it"];
      throw new TypeError(`Cannot name class '${type.name}'${place} to another process: it is ${why}`);
    }
    knownClasses.set(type, reference);
  }
  return reference;
}

/** Does most of the work of the first look-up in advance, while the program waits anyway. Never throws. */
export function warmUpNames(): void {
  try {
    rememberReplaceable();
    // A function of Node, because it sees fewer variables than one of ours.
    functionOrigin(setTimeout);
    learnUrlsOnStack();
  } catch {
    // The look-up itself will report the error.
  }
}

function find(fn: AnyFunction): FunctionName {
  // At first only native functions, because searching Node's functions takes longer than asking V8.
  const isNative = NATIVE.test(Function.prototype.toString.call(fn));
  const builtin = isNative ? findBuiltin(fn, ownRequire()) : undefined;
  if (builtin !== undefined) return builtin;
  const runtime = otherRuntime();
  if (runtime !== undefined) return findByIdentity(fn) ?? raise(cannotTell(fn, runtime));
  rememberReplaceable();
  const origin = functionOrigin(fn);
  if (origin.isBound) {
    throw refuse(fn, "", "a bound function", "export a function that takes what is bound as arguments");
  }
  const likely = likelyUrl(origin);
  if (likely === undefined || likely.startsWith("node:")) {
    const inside = findBuiltin(fn, ownRequire());
    if (inside !== undefined) return inside;
  }
  const url = originUrl(origin);
  if (isClass(fn)) {
    throw refuse(
      fn,
      url,
      "a class constructor",
      "export a function, or a static method, that makes the object",
    );
  }
  return (
    findInModule(fn, origin, false) ??
    findByWrapped(fn, origin, MAX_WRAPPERS, new Set([fn])) ??
    findInAnyCommonJs(fn) ??
    raise(explain(fn, origin, url))
  );
}

/** Looks for `fn` among the exports of the module that `origin` lies in. */
function findInModule(fn: AnyFunction, origin: FunctionOrigin, isWrapped: boolean): FunctionName | undefined {
  if (origin.scriptId === undefined) return undefined;
  const url = originUrl(origin);
  const id = moduleId(url);
  if (id === undefined) return undefined;
  const loaded = loadedCommonJs(url);
  const path = loaded && exportsPath(fn, loaded.exports, { getters: true });
  if (path !== undefined) return { module: id, path };
  // A module without variables has no scope in V8's answer.
  const scope = loaded === undefined ? moduleScope(origin) : undefined;
  const locals = scope === undefined ? [] : pathsTo(fn, scope.bindings);
  const exported = exportsOf(id);
  let found = exportedPath(locals, exported);
  if (found === undefined && loaded === undefined && !scope?.isModule) {
    const module = runnerModule(origin.scriptId);
    found = module && exportedAt(module, fn, origin, isES(exported) ? exported : undefined, isWrapped);
  }
  // Compilers give an unnamed default export a name of theirs, and V8 shows no binding for one. Only the text
  // that V8 compiled shows which function it is.
  if (found === undefined && (exported === undefined || exported.hasUnnamedDefault)) {
    const source = scriptSource(origin.scriptId);
    found =
      exportedPath(locals, localExports(source)) ??
      unnamedDefaultPath(source, origin, locals, { isWrapped, isClass: isClass(fn) });
  }
  return found && { module: id, path: found };
}

function exportedPath(locals: readonly string[][], exported: LocalExports | undefined): string[] | undefined {
  for (const [root, ...rest] of locals) {
    const name = exported?.byLocal.get(root as string);
    if (name !== undefined) return [name, ...rest];
  }
  return undefined;
}

/**
 * Finds `export const f = wrap((…) => …)`: the wrapper was written elsewhere, but the function that it
 * captures was written in the module.
 */
function findByWrapped(
  fn: AnyFunction,
  origin: FunctionOrigin,
  depth: number,
  seen: Set<AnyFunction>,
): FunctionName | undefined {
  const captured = origin.scopes
    .filter((scope) => !scope.isModule)
    .flatMap((scope) => valuesOf(scope.bindings))
    .filter((value): value is AnyFunction => typeof value === "function" && !seen.has(value as AnyFunction))
    .slice(0, 20);
  const inner = captured.map((value) => {
    seen.add(value);
    return functionOrigin(value);
  });
  for (const each of inner) {
    const found = each.scriptId === origin.scriptId ? undefined : findInModule(fn, each, true);
    if (found !== undefined) return found;
  }
  // A module may define its own wrapper. Both are then in one script, whose named exports have already been
  // searched.
  for (const each of inner) {
    const found = each.scriptId === origin.scriptId ? findInModule(fn, each, true) : undefined;
    if (found !== undefined) return found;
  }
  if (depth === 1) return undefined;
  for (const each of inner) {
    const found = findByWrapped(fn, each, depth - 1, seen);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Looks in all CommonJS modules: the main file of a package often exports functions that other files define. */
function findInAnyCommonJs(fn: AnyFunction): FunctionName | undefined {
  for (const [key, loaded] of Object.entries(ownRequire().cache)) {
    const id = moduleId(key.startsWith("data:") ? key : pathToFileURL(key).href);
    const path = id && !id.endsWith(".node") && loaded && exportsPath(fn, loaded.exports, { getters: false });
    if (id && path) return { module: id, path };
  }
  return undefined;
}

/** Finds a function without the inspector. */
function findByIdentity(fn: AnyFunction): FunctionName | undefined {
  return findBuiltin(fn, ownRequire()) ?? findInAnyCommonJs(fn);
}

function cannotTell(fn: AnyFunction, runtime: string): TypeError {
  const cure = `ref(new URL("./tasks.ts", import.meta.url), ${JSON.stringify(fn.name || "name")})`;
  const what = `${runtime} does not tell which module exports it; name its module with ${cure}, or use context.import()`;
  return new TypeError(`Cannot call function ${nameOf(fn)} in another process: ${what}`);
}

function nameOf(fn: AnyFunction): string {
  return fn.name === "" ? "(anonymous)" : `'${fn.name}'`;
}

function exportsPath(fn: AnyFunction, exports: unknown, o: { getters: boolean }): string[] | undefined {
  if (exports === fn) return [];
  return (typeof exports === "object" && exports !== null) || typeof exports === "function"
    ? pathsTo(fn, exports, o)[0]
    : undefined;
}

/** Returns the URL of a script's file. Undefined if there is none (REPL, eval, `node -e`, `data:`). */
function moduleId(url: string): string | undefined {
  if (url.startsWith("data:")) {
    // tsx serves CommonJS TypeScript to an importing ES module in this form.
    const path = url.slice(url.lastIndexOf("?")).match(/^\?filePath=([^&]*)/)?.[1];
    return path === undefined ? undefined : pathToFileURL(decodeURIComponent(path)).href;
  }
  if (!url.startsWith("file:")) return undefined;
  const id = url.replace(/[?&]tsx-namespace=[^&#]*/, "");
  return existsSync(fileURLToPath(id)) ? id : undefined;
}

function loadedCommonJs(url: string): NodeJS.Module | undefined {
  return ownRequire().cache[url.startsWith("file:") ? fileURLToPath(url) : url];
}

function isES(exported: LocalExports | undefined): exported is LocalExports {
  return exported !== undefined && (exported.byLocal.size > 0 || exported.hasUnnamedDefault);
}

/** Reads the exports of a file once, because the running program does not change with the file. */
function exportsOf(id: string): LocalExports | undefined {
  if (!exportsById.has(id)) {
    try {
      exportsById.set(id, localExports(readSourceNow(id)));
    } catch {
      return undefined; // V8 has the text, too.
    }
  }
  return exportsById.get(id);
}

/** Returns the path to a function in an exported object. `call` refuses such a function, but takes a `ref()` to it. */
function pathInExportedObject(fn: AnyFunction, origin: FunctionOrigin, id: string): string[] | undefined {
  const scope = moduleScope(origin);
  const exports: unknown = loadedCommonJs(originUrl(origin))?.exports ?? scope?.bindings;
  if (typeof exports !== "object" || exports === null) return undefined;
  const path = pathThroughObjects(fn, exports);
  if (path === undefined || path.some((name) => name === "" || name.includes("."))) return undefined;
  if (exports !== scope?.bindings) return path;
  const name = exportsOf(id)?.byLocal.get(path[0] as string);
  return name === undefined ? undefined : [name, ...path.slice(1)];
}

function explain(fn: AnyFunction, origin: FunctionOrigin, url: string): TypeError {
  if (isMock(fn)) {
    return refuse(fn, "", "a mock, which is in this process only", "pass the function that it stands for");
  }
  if (origin.scriptId === undefined) {
    return refuse(
      fn,
      "",
      "native code or a proxy, not a public function of Node",
      "export a function that calls it",
    );
  }
  if (url.startsWith("node:")) {
    return refuse(fn, url, "a function inside Node with no public name", "export a function that calls it");
  }
  const id = moduleId(url);
  if (id === undefined) {
    return refuse(fn, url, `defined ${placeWithoutFile(url)}`, "move it into a module and export it there");
  }
  const next = nextRefusal(id, fn.name);
  if (next !== undefined) return refuse(fn, id, ...next);
  const isModule = origin.scopes.some((scope) => scope.isModule);
  const topLevel = isModule ? undefined : runnerModule(origin.scriptId)?.names;
  const isOuter = (scope: (typeof origin.scopes)[number]) =>
    scope.isModule ||
    (topLevel && Object.getOwnPropertyNames(scope.bindings).every((name) => topLevel.has(name)));
  const outer = origin.scopes.filter(isOuter);
  for (const { bindings } of outer) {
    if (pathsTo(fn, bindings).length > 0)
      return refuse(fn, id, "not exported", exportCure(attempt(() => readSourceNow(id)) ?? ""));
  }
  const owner = outer.map(({ bindings }) => ownerOfMethod(fn, bindings)).find(Boolean);
  if (owner !== undefined) return refuse(fn, id, `an instance method, of '${owner}'`, METHOD_CURE);
  const path = pathInExportedObject(fn, origin, id);
  const here = isModule ? "import.meta.url" : "pathToFileURL(__filename)";
  const refCure = path && `refer to it with ref(${here}, "${path.join(".")}") in its file`;
  const inner = origin.scopes.filter((scope) => !isOuter(scope));
  const variables = inner.flatMap((scope) => Object.getOwnPropertyNames(scope.bindings));
  // Variables made by bundlers and test runners mean nothing to the author.
  const captured = [...new Set(variables)].filter((name) => !name.startsWith("__"));
  if (path !== undefined && captured.length === 0) {
    const what = `in the exported object '${path[0]}', not exported itself`;
    return refuse(fn, id, what, `export it, or ${refCure}`);
  }
  if (isMethod(fn)) return refuse(fn, id, "an instance method", METHOD_CURE);
  const wrapped = wrappedModule(origin, id);
  if (wrapped !== undefined) return refuse(fn, wrapped, "made by a wrapper, and not exported", "export it");
  if (captured.length > 0) {
    const names = captured
      .slice(0, 5)
      .map((name) => `'${name}'`)
      .join(", ");
    const what = `a closure that captured ${names}${captured.length > 5 ? ", …" : ""}`;
    const cure = "export a function of the module and pass it these as arguments";
    return refuse(fn, id, what, refCure === undefined ? cure : `${cure}, or ${refCure}`);
  }
  return refuse(fn, id, "not exported", exportCure(attempt(() => readSourceNow(id)) ?? ""));
}

/**
 * Returns the module whose function a wrapper has captured, if the wrapper comes from a package, or from this
 * library. Functions of packages are left out: a package itself decides what its wrapper returns.
 */
function wrappedModule(origin: FunctionOrigin, id: string): string | undefined {
  if (!isPackaged(id)) return undefined;
  const captured = origin.scopes
    .filter((scope) => !scope.isModule)
    .flatMap((scope) => valuesOf(scope.bindings))
    .filter((value): value is AnyFunction => typeof value === "function")
    .map((value) => moduleId(originUrl(functionOrigin(value))));
  return captured.find((module) => module !== undefined && !isPackaged(module));
}

function isPackaged(id: string): boolean {
  return id.includes("/node_modules/") || id.startsWith(libraryUrl("."));
}

function refuse(fn: AnyFunction, url: string, what: string, cure: string): TypeError {
  const place = url === "" ? "" : ` (${url.length > 300 ? `${url.slice(0, 300)}…` : url})`;
  return new TypeError(
    `Cannot call function ${nameOf(fn)}${place} in another process: it is ${what}; ${cure}`,
  );
}

function raise(error: Error): never {
  throw error;
}

function isClass(fn: AnyFunction): boolean {
  return /^class\b/.test(Function.prototype.toString.call(fn));
}

/** Whether a test runner has put this in place of a function: Vitest, Jest, `node:test`, sinon. */
function isMock(fn: AnyFunction): boolean {
  const marks = fn as { _isMockFunction?: unknown; isSinonProxy?: unknown; mock?: { calls?: unknown } };
  return marks._isMockFunction === true || marks.isSinonProxy === true || Array.isArray(marks.mock?.calls);
}

/**
 * Whether a function is a method: shorthand methods have no `prototype`, and a name before their parentheses.
 */
function isMethod(fn: AnyFunction): boolean {
  const text = Function.prototype.toString.call(fn).slice(0, 200);
  const name = /^(?:async\s+|get\s+|set\s+|\*\s*)*([\w$#]+)\s*\(/.exec(text)?.[1];
  return name !== undefined && name !== "function" && name !== "async";
}
