import type { AnyFunction } from "../../functions/overloads.ts";
import { libraryUrl } from "../../library.ts";
import { attempt } from "../../wire/values/thrown.ts";
import { readSourceNow } from "../resolve/source-text.ts";
import { exportCure, nextRefusal, placeWithoutFile } from "./environment.ts";
import { ownerOfMethod, pathsTo, pathThroughObjects } from "./exported-path.ts";
import { capturedFunctions, type FunctionOrigin, functionOrigin, originUrl } from "./function-origin.ts";
import { moduleScope, runnerModule } from "./runner-module.ts";
import { exportsOf, loadedCommonJs, moduleOfScript } from "./script-module.ts";

const METHOD_CURE = "export a function, or a static method, that takes the object's data as arguments";

/** The error of a function in a `runtime` that does not show where functions were written. */
export function refuseIn(runtime: string, fn: AnyFunction): TypeError {
  const cure = `ref(new URL("./tasks.ts", import.meta.url), ${JSON.stringify(fn.name || "name")})`;
  const what = `${runtime} does not tell which module exports it; name its module with ${cure}, or use context.import()`;
  return new TypeError(`Cannot call function ${nameOf(fn)} in another process: ${what}`);
}

/** The error of a function that was looked for in vain. */
export function refuseUnfound(fn: AnyFunction, origin: FunctionOrigin): TypeError {
  const url = originUrl(origin);
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
  const id = moduleOfScript(url);
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
  const cure = exportCure(attempt(() => readSourceNow(id)) ?? "");
  const isInline = fn.name === "" && cure === "export it";
  return refuse(
    fn,
    id,
    "not exported",
    isInline ? "give it a name at the top level of the module, and export it" : cure,
  );
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

/**
 * Returns the module whose function a wrapper has captured, if the wrapper comes from a package, or from this
 * library. Functions of packages are left out: a package itself decides what its wrapper returns.
 */
function wrappedModule(origin: FunctionOrigin, id: string): string | undefined {
  if (!isPackaged(id)) return undefined;
  const captured = capturedFunctions(origin).map((value) => moduleOfScript(originUrl(functionOrigin(value))));
  return captured.find((module) => module !== undefined && !isPackaged(module));
}

function isPackaged(id: string): boolean {
  return id.includes("/node_modules/") || id.startsWith(libraryUrl("."));
}

/** The error of a class that was looked for in vain. */
export function refuseClass(type: AnyFunction, origin: FunctionOrigin): TypeError {
  const url = originUrl(origin);
  const [place, why] =
    moduleOfScript(url) === undefined
      ? ["", "defined in code that has no file; move it into a module and export it there"]
      : [` (${url.slice(0, 300)})`, "not exported; export it"];
  return new TypeError(`Cannot name class '${type.name}'${place} to another process: it is ${why}`);
}

/** The error of a function that cannot be named. `what` and `cure` are parts of a sentence. */
export function refuse(fn: AnyFunction, url: string, what: string, cure: string): TypeError {
  const place = url === "" ? "" : ` (${url.length > 300 ? `${url.slice(0, 300)}…` : url})`;
  return new TypeError(
    `Cannot call function ${nameOf(fn)}${place} in another process: it is ${what}; ${cure}`,
  );
}

function nameOf(fn: AnyFunction): string {
  return fn.name === "" ? "(anonymous)" : `'${fn.name}'`;
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
