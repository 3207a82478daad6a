import type { FunctionLoader } from "./dispatcher.ts";

/** Static members of static members; `Tasks.Disk.freeBytes` is two. */
const MAX_DEPTH = 4;
const OWN_OF_FUNCTIONS = new Set(["length", "name", "prototype", "arguments", "caller", "constructor"]);

/**
 * Evaluates a module and answers the paths of its functions in its exports: exported ones, and static methods of what is exported. `[]` is
 * `module.exports` itself. Called by `Context.import`.
 */
export async function moduleFunctions(loader: FunctionLoader, id: string): Promise<string[][]> {
  const { value: exports } = await loader.evaluate(id);
  const paths: string[][] = [];
  if (isCallable(exports)) paths.push([]);
  for (const name of Object.keys(exports ?? {})) {
    collect(read(exports as object, name), [name], paths, new Set());
  }
  return paths;
}

/** An export of a CommonJS module may be a getter, and throw. */
function read(exports: object, name: string): unknown {
  try {
    return (exports as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** Inherited static methods too. Getters are left alone; what refers back to itself is taken once. */
function collect(value: unknown, path: string[], paths: string[][], seen: Set<unknown>): void {
  if (typeof value !== "function" || seen.has(value)) return;
  seen.add(value);
  if (isCallable(value)) paths.push(path);
  if (path.length === MAX_DEPTH) return;
  for (
    let at: object = value;
    typeof at === "function" && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const [name, { value: member }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (!OWN_OF_FUNCTIONS.has(name)) collect(member, [...path, name], paths, seen);
    }
  }
}

/** A class is a function that can only be constructed. */
function isCallable(value: unknown): boolean {
  return typeof value === "function" && !/^class\b/.test(Function.prototype.toString.call(value));
}
