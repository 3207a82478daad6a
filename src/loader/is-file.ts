import { statSync } from "node:fs";

/** Whether the path leads to a file. Follows links. */
export function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
