import { builtinModules } from "node:module";

/** The specifier by which remote code imports this library; every context has it. */
export const MITOGEN = "mitogen";

/**
 * Parts of this library that travel when they are first needed, under these ids: what only contexts with children need, in their broker
 * threads; how modules are evaluated; and what `import "mitogen"` gives. docs/architecture.md#parts-that-travel-later
 */
export const PARENT_ROLE = "mitogen:parent-role";
export const EVALUATOR = "mitogen:evaluator";
export { API } from "../functions/api-ref.ts";
export const SHORT_WAY = "mitogen:short-way";

const names: ReadonlySet<string> = new Set(builtinModules);

/** Whether this Node provides the module, or the specifier can only mean one of Node's. */
export function isBuiltin(specifier: string): boolean {
  return specifier.startsWith("node:") || names.has(specifier);
}

/** What `require` gives for a builtin. Throws an error that names this Node when it has no such module. */
export function builtinExports(id: string): Record<string, unknown> {
  const name = id.startsWith("node:") ? id.slice(5) : id;
  try {
    // Old Nodes know no `node:` in require; modules that have no other name (node:test) are asked for as they are.
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
