import { SourceMap } from "node:module";

/** A stack is a message for people: beyond this it is passed on as it is. */
const MAX_STACK_CHARS = 100_000;

/** Turns positions in compiled modules back into positions in their sources. */
export class StackMapper {
  readonly #texts = new Map<string, string>();
  readonly #maps = new Map<string, SourceMap>();

  /** The newest map of a module counts: contexts of different versions of Node may run different text. */
  add(id: string, map: string): void {
    if (map === "") return;
    this.#texts.set(id, map);
    this.#maps.delete(id);
  }

  /** The text comes from a child: one pass, no pattern that could backtrack. */
  originalStack(stack: string): string {
    if (stack.length > MAX_STACK_CHARS) return stack;
    let result = "";
    let from = 0;
    for (;;) {
      const start = stack.indexOf("file://", from);
      if (start < 0) return result + stack.slice(from);
      const end = endOfPlace(stack, start);
      result += stack.slice(from, start) + this.#originalPlace(stack.slice(start, end));
      from = end;
    }
  }

  /** `file:///a.ts:10:5` */
  #originalPlace(place: string): string {
    const beforeColumn = place.lastIndexOf(":");
    const beforeLine = place.lastIndexOf(":", beforeColumn - 1);
    const id = place.slice(0, beforeLine);
    const line = toNumber(place.slice(beforeLine + 1, beforeColumn));
    const column = toNumber(place.slice(beforeColumn + 1));
    const map = line > 0 && column > 0 ? this.#map(id) : undefined;
    const entry = map?.findEntry(line - 1, column - 1);
    if (entry === undefined || !("originalLine" in entry)) return place;
    return `${id}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  }

  #map(id: string): SourceMap | undefined {
    let map = this.#maps.get(id);
    const text = map === undefined ? this.#texts.get(id) : undefined;
    if (text !== undefined) {
      map = new SourceMap(JSON.parse(text));
      this.#maps.set(id, map);
    }
    return map;
  }
}

/** Ids are URLs: they hold no white space. A parenthesis at the end belongs to the frame. */
function endOfPlace(stack: string, start: number): number {
  let end = start;
  while (end < stack.length && stack.charCodeAt(end) > 32 && stack[end] !== ",") end++;
  while (stack[end - 1] === ")") end--;
  return end;
}

function toNumber(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : 0;
}
