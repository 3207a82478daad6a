import { importModule } from "../../calls/caller/module-handle.ts";
import type { Functions } from "../../core/router.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import { builtinExports } from "../../loader/builtins.ts";
import type { Importer } from "../../loader/evaluate/importer.ts";
import { findBuiltin } from "../../loader/naming/builtin-functions.ts";

/** How a child names functions for other contexts: by what it has evaluated, and what Node gives it. */
export function childFunctions(importer: Importer): Functions {
  // To find one means to look at whatever all modules export.
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
    // What the target lacks it asks the master for.
    prepare: () => undefined,
    // Source maps are the master's.
    originalStack: (stack) => stack,
    importModule,
  };
}
