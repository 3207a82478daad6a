import * as vm from "node:vm";
import { read } from "../../wire/values/thrown.ts";

/**
 * The text of a module in front of a synthetic one. In some Nodes, a synthetic module that fails also causes an
 * unhandled rejection, which ends the process. So the synthetic module keeps its error, and this one throws it.
 */
const CHECKED = "import.meta.check(); export * from 'checked'; export { default } from 'checked';";

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

/** The synthetic module behind each module with the text {@link CHECKED}. */
const behind: WeakMap<vm.Module, vm.Module> = new WeakMap();

/** Returns what `checked` stands for in a module with the text {@link CHECKED}. Undefined for all other modules. */
export function moduleBehind(module: vm.Module): vm.Module | undefined {
  return behind.get(module);
}

/** Makes a module with these names. `evaluate` returns their values and must not throw. */
export function syntheticModule(
  id: string,
  names: readonly string[],
  evaluate: () => Record<string, unknown>,
): vm.Module {
  return new vm.SyntheticModule(
    [...names],
    function (this: vm.SyntheticModule) {
      const values = evaluate();
      for (const name of names) this.setExport(name, values[name]);
    },
    { identifier: id },
  );
}

/** Does the same for an `evaluate` that may throw. Among the names is `default`. */
export function checkedModule(
  id: string,
  names: readonly string[],
  evaluate: () => Record<string, unknown>,
): vm.Module {
  if (NODE_MAJOR < 14 || NODE_MAJOR > 20) return syntheticModule(id, names, evaluate);
  let failure: { error: unknown } | undefined;
  const inner = syntheticModule(id, names, () => {
    try {
      return evaluate();
    } catch (error) {
      failure = { error };
      return {};
    }
  });
  const check = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  const outer = new vm.SourceTextModule(CHECKED, {
    identifier: id,
    initializeImportMeta: (meta: object) => Object.assign(meta, { check }),
  });
  behind.set(outer, inner);
  return outer;
}

/**
 * Makes the module that ES modules import in place of CommonJS. `evaluate` returns `module.exports`.
 * `isInterop` is that of the importing module.
 */
export function commonJsModule(
  id: string,
  exportNames: readonly string[],
  isInterop: boolean,
  evaluate: () => unknown,
): vm.Module {
  const always = NODE_MAJOR >= 23 && !isInterop ? ["default", "module.exports"] : ["default"];
  const names = [...new Set([...always, ...exportNames])];
  return checkedModule(id, names, () => {
    const exports = evaluate() as { default?: unknown };
    const values: Record<string, unknown> = {};
    for (const name of exportNames) values[name] = ownValue(exports, name);
    if (isInterop && ownValue(exports, "__esModule")) return { ...values, default: exports.default };
    for (const name of always) values[name] = exports;
    return values;
  });
}

/** Returns the export of a CommonJS module under a name from its text. As in Node, undefined if there is none. */
function ownValue(exports: unknown, name: string): unknown {
  if (Object.getOwnPropertyDescriptor(Object(exports), name) === undefined) return undefined;
  return read(exports as object, name);
}
