import { pathToFileURL } from "node:url";

/** The file that holds this code. In a CommonJS bundle there is no `import.meta`. */
export const LIBRARY_FILE: string = (import.meta.url as string | undefined) ?? pathToFileURL(__filename).href;

/** The URL of a file beside this library's `index.js`, or beside `index.ts` if it runs from its sources. */
export function libraryUrl(name: string): string {
  return new URL(name, LIBRARY_FILE).href;
}
