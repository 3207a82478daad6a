import { pathToFileURL } from "node:url";
import type { FunctionName } from "../../functions/function-name.ts";
import type { AnyFunction } from "../../functions/overloads.ts";
import { ownRequire } from "../own-require.ts";
import { findBuiltin, rememberReplaceable } from "./builtin-functions.ts";
import { unnamedDefaultPath } from "./default-export.ts";
import { otherRuntime } from "./environment.ts";
import { type LocalExports, localExports, pathsTo } from "./exported-path.ts";
import {
  capturedFunctions,
  type FunctionOrigin,
  functionOrigin,
  learnUrlsOnStack,
  likelyUrl,
  originUrl,
  scriptSource,
} from "./function-origin.ts";
import { refuse, refuseClass, refuseIn, refuseUnfound } from "./refusal.ts";
import { exportedAt, moduleScope, runnerModule } from "./runner-module.ts";
import { exportsOf, loadedCommonJs, moduleOfScript } from "./script-module.ts";

/** How many levels of captured variables of a wrapper are searched for the module that made it. */
const MAX_WRAPPERS = 3;

const NATIVE = /\{\s*\[native code\]\s*\}$/;

const known = new WeakMap<AnyFunction, FunctionName>();
const knownClasses = new WeakMap<AnyFunction, FunctionName>();

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
    reference =
      findInModule(type, origin, false) ?? findInAnyCommonJs(type) ?? raise(refuseClass(type, origin));
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
  if (runtime !== undefined) return findByIdentity(fn) ?? raise(refuseIn(runtime, fn));
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
  if (isClass(fn)) {
    const cure = "export a function, or a static method, that makes the object";
    throw refuse(fn, originUrl(origin), "a class constructor", cure);
  }
  return (
    findInModule(fn, origin, false) ??
    findByWrapped(fn, origin, MAX_WRAPPERS, new Set([fn])) ??
    findInAnyCommonJs(fn) ??
    raise(refuseUnfound(fn, origin))
  );
}

/** Looks for `fn` among the exports of the module that `origin` lies in. */
function findInModule(fn: AnyFunction, origin: FunctionOrigin, isWrapped: boolean): FunctionName | undefined {
  if (origin.scriptId === undefined) return undefined;
  const url = originUrl(origin);
  const id = moduleOfScript(url);
  if (id === undefined) return undefined;
  const exported = exportsOf(id);
  const cached = loadedCommonJs(url);
  // Node first tries the entry script of a package without a type as CommonJS, and leaves that in the cache.
  const isLeftOver = isES(exported) && Object.getOwnPropertyNames(Object(cached?.exports)).length === 0;
  const loaded = isLeftOver ? undefined : cached;
  const path = loaded && exportsPath(fn, loaded.exports, { getters: true });
  if (path !== undefined) return { module: id, path };
  // A module without variables has no scope in V8's answer.
  const scope = loaded === undefined ? moduleScope(origin) : undefined;
  const locals = scope === undefined ? [] : pathsTo(fn, scope.bindings);
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
  const captured = capturedFunctions(origin)
    .filter((value) => !seen.has(value))
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
    const id = moduleOfScript(key.startsWith("data:") ? key : pathToFileURL(key).href);
    const path = id && !id.endsWith(".node") && loaded && exportsPath(fn, loaded.exports, { getters: false });
    if (id && path) return { module: id, path };
  }
  return undefined;
}

/** Finds a function without the inspector. */
function findByIdentity(fn: AnyFunction): FunctionName | undefined {
  return findBuiltin(fn, ownRequire()) ?? findInAnyCommonJs(fn);
}

function exportsPath(fn: AnyFunction, exports: unknown, o: { getters: boolean }): string[] | undefined {
  if (exports === fn) return [];
  return (typeof exports === "object" && exports !== null) || typeof exports === "function"
    ? pathsTo(fn, exports, o)[0]
    : undefined;
}

function isES(exported: LocalExports | undefined): exported is LocalExports {
  return exported !== undefined && (exported.byLocal.size > 0 || exported.hasUnnamedDefault);
}

function raise(error: Error): never {
  throw error;
}

function isClass(fn: AnyFunction): boolean {
  return /^class\b/.test(Function.prototype.toString.call(fn));
}
