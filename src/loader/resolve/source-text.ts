import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { nameLimit } from "../../process/system-limits.ts";

/**
 * Returns the text of a source as Node reads it: UTF-8 without a byte order mark. After such a mark, the
 * scanners of imports and exports would miss the first statement.
 */
export function sourceText(content: string): string {
  return content.replace(/^\uFEFF/, "");
}

/** Reads the file of a module. Rejects with the system's error. */
export async function readSource(id: string): Promise<string> {
  try {
    return sourceText(await readFile(fileURLToPath(id), "utf8"));
  } catch (error) {
    throw nameLimit(error);
  }
}

/** Reads a file synchronously, by id or path. Throws the system's error. */
export function readSourceNow(file: string): string {
  try {
    return sourceText(readFileSync(file.startsWith("file:") ? fileURLToPath(file) : file, "utf8"));
  } catch (error) {
    throw nameLimit(error);
  }
}
