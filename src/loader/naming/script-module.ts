import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ownRequire } from "../own-require.ts";
import { readSourceNow } from "../resolve/source-text.ts";
import { type LocalExports, localExports } from "./exported-path.ts";

const exportsById = new Map<string, LocalExports | undefined>();

/**
 * Returns the id of the module that a script is. `url` is V8's name for the script. Undefined if the script has no file
 * (REPL, eval, `node -e`, `data:`).
 */
export function moduleOfScript(url: string): string | undefined {
  if (url.startsWith("data:")) {
    // tsx serves CommonJS TypeScript to an importing ES module in this form.
    const path = url.slice(url.lastIndexOf("?")).match(/^\?filePath=([^&]*)/)?.[1];
    return path === undefined ? undefined : pathToFileURL(decodeURIComponent(path)).href;
  }
  if (!url.startsWith("file:")) return undefined;
  const id = url.replace(/[?&]tsx-namespace=[^&#]*/, "");
  return existsSync(fileURLToPath(id)) ? id : undefined;
}

export function loadedCommonJs(url: string): NodeJS.Module | undefined {
  return ownRequire().cache[url.startsWith("file:") ? fileURLToPath(url) : url];
}

/** Reads the exports of a file once, because the running program does not change with the file. */
export function exportsOf(id: string): LocalExports | undefined {
  if (!exportsById.has(id)) {
    try {
      exportsById.set(id, localExports(readSourceNow(id)));
    } catch {
      return undefined; // V8 has the text, too.
    }
  }
  return exportsById.get(id);
}
