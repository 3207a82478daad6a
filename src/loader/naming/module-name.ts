import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { type Callable, FunctionRef } from "../../functions/callable.ts";
import { show } from "../../options/options.ts";
import { attempt } from "../../wire/values/thrown.ts";
import { isBuiltin } from "../builtins.ts";
import { realId, realUrl } from "../resolve/module-pattern.ts";
import { nameFunction } from "./name-function.ts";

/** Names a module: its id, the path of its file, or a function of it. */
export type ModuleName = string | URL | Callable<never[], unknown>;

/** Returns the id of a module. Throws a TypeError if the argument names none. */
export function moduleId(module: ModuleName): string {
  if (typeof module === "function") return nameFunction(module).module;
  if (module instanceof FunctionRef) return realId(module.module);
  const text = attempt(() => String(module)) ?? "";
  if (text === "global" || isBuiltin(text)) return text;
  const url = isAbsolute(text) ? pathToFileURL(text) : URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "file:") return realUrl(url).href;
  throw new TypeError(
    `Cannot name a module by ${show(text === "" ? module : text)}: it must be a file: URL, an absolute path or a function; use new URL("./x.ts", import.meta.url)`,
  );
}
