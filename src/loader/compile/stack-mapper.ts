import { findSourceMap, SourceMap } from "node:module";
import { fileURLToPath } from "node:url";
import { isInstalled } from "../resolve/package-scope.ts";
import { isTypeScript } from "../resolve/typescript-rules.ts";

/** A longer stack is passed on unchanged, because people would not read it. */
const MAX_STACK_CHARS = 100_000;

/** Matches the beginning of a place. */
const PLACE = /file:\/\/|(?<=[ (])\//g;

/**
 * The source map of a module. It is parsed when it is first needed. `text` is empty if the module has the lines of
 * its file.
 */
interface Entry {
  readonly text: string;
  map?: SourceMap;
}

/** Turns positions in compiled modules back into positions in their sources. */
export class StackMapper {
  /** By module id, then by the class of Node versions that it was compiled for. The newest is last. */
  readonly #entries = new Map<string, Map<string, Entry>>();

  /** By path, because stacks name CommonJS modules by path. */
  readonly #ids = new Map<string, string>();

  /** Adds the map from the text for `versionClass` to the file. The map is empty if the text is the file's own. */
  add(id: string, versionClass: string, map: string): void {
    const entries = this.#entries.get(id) ?? new Map<string, Entry>();
    this.#entries.set(id, entries);
    entries.delete(versionClass);
    entries.set(versionClass, { text: map });
    if (id.startsWith("file:///")) this.#ids.set(fileURLToPath(id), id);
  }

  /**
   * Maps the places in a stack to lines of their files. The stack comes from a child, so this is one pass,
   * with no pattern that could backtrack. Without a class, or for a module that was not compiled for it, uses
   * the newest map.
   */
  originalStack(stack: string, versionClass?: string): string {
    if (stack.length > MAX_STACK_CHARS) return stack;
    let result = "";
    let from = 0;
    for (const { index } of stack.matchAll(PLACE)) {
      if (index < from) continue;
      const end = endOfPlace(stack, index);
      result += stack.slice(from, index) + this.#originalPlace(stack.slice(index, end), versionClass);
      from = end;
    }
    return result + stack.slice(from);
  }

  /** Maps `file:///a.ts:10:5` or `/a.cjs:10:5`. Stacks name CommonJS modules by path. */
  #originalPlace(place: string, versionClass: string | undefined): string {
    const beforeColumn = place.lastIndexOf(":");
    const beforeLine = place.lastIndexOf(":", beforeColumn - 1);
    const name = place.slice(0, beforeLine);
    const isPath = name.startsWith("/");
    // Looked up, not computed: a stack may hold very many places that do not exist.
    const id = isPath ? this.#ids.get(name) : name;
    if (id === undefined || !this.#entries.has(id)) return place;
    const line = toNumber(place.slice(beforeLine + 1, beforeColumn));
    const column = toNumber(place.slice(beforeColumn + 1));
    if (line === 0 || column === 0) return place;
    const entry = this.#map(id, versionClass)?.findEntry(line - 1, column - 1);
    const isMapped = entry !== undefined && "originalLine" in entry;
    const [originalLine, originalColumn] = isMapped
      ? [entry.originalLine + 1, entry.originalColumn + 1]
      : [line, column];
    const found = authoredPlace(id, originalLine, originalColumn);
    return isPath ? found.replace(id, () => name) : found;
  }

  #map(id: string, versionClass: string | undefined): SourceMap | undefined {
    const entries = this.#entries.get(id);
    const entry = entries?.get(versionClass ?? "") ?? [...(entries?.values() ?? [])].at(-1);
    if (entry === undefined || entry.text === "") return undefined;
    entry.map ??= new SourceMap(JSON.parse(entry.text));
    return entry.map;
  }
}

/**
 * Returns a place in the source from which the program's JavaScript was compiled, if the program runs with source
 * maps enabled. Places in installed packages stay as they are.
 */
function authoredPlace(id: string, line: number, column: number): string {
  const place = `${id}:${line}:${column}`;
  if (isTypeScript(id) || !URL.canParse(id) || new URL(id).host !== "") return place;
  const file = fileURLToPath(id);
  if (isInstalled(file)) return place;
  const entry = findSourceMap(file)?.findEntry(line - 1, column - 1);
  if (entry === undefined || !("originalLine" in entry)) return place;
  const source = entry.originalSource.replace(/\?[\s\S]*/, "");
  return source === id || source === file
    ? place
    : `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
}

/** Returns where a place ends. Ids are URLs, so they hold no white space. A final parenthesis belongs to the frame. */
function endOfPlace(stack: string, start: number): number {
  let end = start;
  while (end < stack.length && stack.charCodeAt(end) > 32 && stack[end] !== ",") end++;
  while (stack[end - 1] === ")") end--;
  return end;
}

function toNumber(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : 0;
}
