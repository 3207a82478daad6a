import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Finds a program in the given folders and then in PATH. Undefined if it is in none. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const all = [...folders, ...(process.env["PATH"] ?? "").split(delimiter)];
  return all.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
