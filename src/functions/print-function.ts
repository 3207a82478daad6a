/** The path of a function in its module, as people write it: `Disk.freeBytes`; `default` for what `module.exports` is. */
export function printPath(path: readonly string[]): string {
  return path.join(".") || "default";
}

/** A function in a log or an error: `Disk.freeBytes of file:///srv/tasks.ts`. */
export function printFunction(name: { readonly module: string; readonly path: readonly string[] }): string {
  return `${printPath(name.path)} of ${name.module}`;
}
