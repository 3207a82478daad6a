import { importModule } from "../../calls/caller/module-handle.ts";
import type { Functions } from "../../core/router.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import { builtinExports } from "../../loader/builtins.ts";
import type { Importer } from "../../loader/evaluate/importer.ts";
import { findBuiltin } from "../../loader/naming/builtin-functions.ts";
import { receivedStack } from "../../text/received-stack.ts";

/** Names functions for other contexts: from the modules that this child has evaluated, and from Node. */
export function childFunctions(importer: Importer): Functions {
  // A search looks at all exports of all modules, so its results are kept.
  const names = new WeakMap<object, FunctionName>();
  return {
    nameOf(fn) {
      const found = names.get(fn) ?? importer.evaluator().find(fn) ?? findBuiltin(fn, builtinExports);
      if (found !== undefined) {
        names.set(fn, found);
        return found;
      }
      throw new TypeError(
        `Cannot call function ${fn.name || "(anonymous)"} in another process: no module evaluated here exports it; export it, or use ref()`,
      );
    },
    // The target asks the master for modules that it lacks.
    prepare: () => undefined,
    // Only the master has source maps.
    originalStack: receivedStack,
    importModule,
  };
}
