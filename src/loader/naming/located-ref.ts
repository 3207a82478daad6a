import { FunctionRef } from "../../functions/callable.ts";
import { ref as refByUrl } from "../../functions/ref.ts";
import { realId } from "../resolve/module-pattern.ts";

// biome-ignore lint/suspicious/noExplicitAny: any function at all
type AnyFunction = (...args: any[]) => unknown;

/**
 * Names a function by its module (an absolute URL, `file:///srv/app/tasks.ts`, or `node:os`) and its path in the
 * module's exports (`"backup"`, `"default"`, `"Tasks.backup"`). Links in the URL are followed, as in an import. Nothing
 * is imported or checked here; the call rejects if there is no such function. Throws a TypeError if the module is not an
 * absolute URL.
 */
export function ref<F extends AnyFunction = AnyFunction>(
  moduleUrl: string | URL,
  exportPath: string,
): FunctionRef<Parameters<F>, ReturnType<F>> {
  const { module, path } = refByUrl<F>(moduleUrl, exportPath);
  return new FunctionRef(realId(module), path);
}
