import type { FunctionLoader } from "./dispatcher.ts";

/** How deep static members may be nested: `Tasks.Disk.freeBytes` is two levels deep. */
const MAX_DEPTH = 4;
const OWN_OF_FUNCTIONS = new Set(["length", "name", "prototype", "arguments", "caller", "constructor"]);

/**
 * Evaluates a module and returns the paths of its functions: exported functions, and static methods of
 * exported classes. `[]` is `module.exports` itself. Called by `Context.import`.
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

/** An export of a CommonJS module may be a getter, which may throw. */
function read(exports: object, name: string): unknown {
  try {
    return (exports as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/**
 * Collects functions, including inherited static methods. Does not read getters. Visits each object once,
 * because they may refer to each other.
 */
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
