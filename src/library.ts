/** The URL of a file beside this library's `index.js`; beside `index.ts`, when it runs from its sources. */
export function libraryUrl(name: string): string {
  return new URL(name, import.meta.url).href;
}
