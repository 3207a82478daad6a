import { statSync } from "node:fs";

/** Whether there is a file at this path, links followed. */
export function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
