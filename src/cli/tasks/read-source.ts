import { readFileSync, statSync } from "node:fs";

/** The largest file of tasks, in bytes. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The text of a module. Throws an error that says why it cannot be read; a pipe or a device would never end. */
export function readSource(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new Error("there is no such file");
  if (stat.isDirectory()) throw new Error("it is a folder");
  if (!stat.isFile()) throw new Error("it is not a regular file");
  if (stat.size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
  return readFileSync(file, "utf8");
}
