import type { FunctionName } from "../../functions/function-name.ts";

/**
 * Finds the name of a function in the exports of modules, by identity. Prefers the module that defines it to one that
 * re-exports it.
 */
export function findName(
  fn: unknown,
  modules: Iterable<readonly [id: string, exports: unknown]>,
  dependenciesOf: (id: string) => readonly string[],
): FunctionName | undefined {
  const found = new Map<string, string[]>();
  for (const [id, exports] of modules) {
    const path = found.has(id) ? undefined : pathTo(fn, exports);
    if (path !== undefined) found.set(id, path);
  }
  const takesFromAnother = (id: string): boolean =>
    dependenciesOf(id).some((each) => each !== id && found.has(each));
  const ids = [...found.keys()];
  const module = ids.find((id) => !takesFromAnother(id)) ?? ids[0];
  return module === undefined ? undefined : { module, path: found.get(module) as string[] };
}

/** Returns the path to a function in a module's exports: the exports, one of them, or a static member of one. */
function pathTo(fn: unknown, exports: unknown): string[] | undefined {
  if (exports === fn) return [];
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(exports ?? {}))) {
    const { value } = descriptor;
    if (value === fn) return [name];
    const isContainer = typeof value === "function" || (name === "promises" && typeof value === "object");
    if (!isContainer || value === null) continue;
    for (const key of Object.getOwnPropertyNames(value)) {
      if (Object.getOwnPropertyDescriptor(value, key)?.value === fn) return [name, key];
    }
  }
  return undefined;
}
