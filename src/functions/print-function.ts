/** Formats a path in a module as people write it: `Disk.freeBytes`. `default` stands for `module.exports`. */
export function printPath(path: readonly string[]): string {
  return path.join(".") || "default";
}

/** A function in a log or an error: `Disk.freeBytes of file:///srv/tasks.ts`. */
export function printFunction(name: { readonly module: string; readonly path: readonly string[] }): string {
  return `${printPath(name.path)} of ${name.module}`;
}
