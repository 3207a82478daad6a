import { builtinModules } from "node:module";

/** The specifier by which remote code imports this library. Every context has it. */
export const MITOGEN = "mitogen";

/**
 * The ids of the library parts: the broker thread's code for contexts with children, the code that evaluates
 * modules, and the exports of `import "mitogen"`. docs/architecture.md#parts-that-travel-later
 */
export const PARENT_ROLE = "mitogen:parent-role";
export const EVALUATOR = "mitogen:evaluator";
export { API, FLEET } from "../functions/api-ref.ts";
export const SHORT_WAY = "mitogen:short-way";

const names: ReadonlySet<string> = new Set(builtinModules);

/** Whether this Node has the module, or the specifier can only mean a module of Node. */
export function isBuiltin(specifier: string): boolean {
  return specifier.startsWith("node:") || names.has(specifier);
}

/** Returns the exports of a builtin. If this Node has no such module, throws an error that names this Node. */
export function builtinExports(id: string): Record<string, unknown> {
  const name = id.startsWith("node:") ? id.slice(5) : id;
  try {
    // Old Nodes do not know `node:` in require. Modules without another name (node:test) are required as they
    // are.
    return require(names.has(name) ? name : id) as Record<string, unknown>;
  } catch (error) {
    throw Object.assign(
      new Error(`Cannot find module '${id}': Node ${process.version} on this target does not have it`),
      {
        code: "ERR_UNKNOWN_BUILTIN_MODULE",
        cause: error,
      },
    );
  }
}

declare const require: (id: string) => unknown;
