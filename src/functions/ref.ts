import { anyText } from "../options/option-types.ts";
import { takeOption } from "../options/options.ts";
import { textOf } from "../wire/values/thrown.ts";
import { FunctionRef } from "./callable.ts";

// biome-ignore lint/suspicious/noExplicitAny: any function at all
type AnyFunction = (...args: any[]) => unknown;

/**
 * Names a function by its module (an absolute URL, `file:///srv/app/tasks.ts`, or `node:os`) and its path in the
 * module's exports (`"backup"`, `"default"`, `"Tasks.backup"`). Nothing is imported or checked here; the call rejects
 * if there is no such function. Throws a TypeError if the module is not an absolute URL.
 */
export function ref<F extends AnyFunction = AnyFunction>(
  moduleUrl: string | URL,
  exportPath: string,
): FunctionRef<Parameters<F>, ReturnType<F>> {
  const module = textOf(moduleUrl);
  if (module !== "global" && !/^(file:\/\/\/|node:)/.test(module)) {
    throw new TypeError(
      `Cannot refer to module "${module}": it must be an absolute file: URL or a node: module; use new URL("./x.ts", import.meta.url)`,
    );
  }
  takeOption("refer to a function", "its path", exportPath, anyText);
  const path = exportPath.split(".");
  if (path.some((name) => name === "")) {
    throw new TypeError(`Cannot refer to export "${exportPath}" of ${module}: an empty name in the path`);
  }
  return new FunctionRef(module, path);
}
