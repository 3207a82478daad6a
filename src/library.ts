import { pathToFileURL } from "node:url";

/** The file that this code is in. As part of a bundle in CommonJS it has no `import.meta`. */
export const LIBRARY_FILE: string = (import.meta.url as string | undefined) ?? pathToFileURL(__filename).href;

/** The URL of a file beside this library's `index.js`; beside `index.ts`, when it runs from its sources. */
export function libraryUrl(name: string): string {
  return new URL(name, LIBRARY_FILE).href;
}
