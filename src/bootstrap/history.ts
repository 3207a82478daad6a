import { withoutControls } from "../text/harmless.ts";

const MAX_LINES = 100;
const MAX_LINE_CHARACTERS = 2000;
/** A character of UTF-8 takes at most three bytes per UTF-16 unit. */
const MAX_OPEN_BYTES = 3 * MAX_LINE_CHARACTERS;
const LINE_FEED = 0x0a;

/**
 * The last lines of output of a starting process, from all its streams, in the order in which they came. Its
 * memory is bounded. Bytes that are not UTF-8, and control characters, are made harmless, because the text
 * appears in errors and on terminals.
 */
export class History {
  readonly #lines: string[] = [];
  /** The unfinished line of each stream. Bytes, because a character may be cut. */
  readonly #open: Map<string, Buffer> = new Map();

  /** Takes bytes of one stream. Returns the lines that they completed. */
  push(stream: string, bytes: Buffer): string[] {
    const all = Buffer.concat([this.#open.get(stream) ?? Buffer.alloc(0), bytes]);
    const end = all.lastIndexOf(LINE_FEED) + 1;
    // Bytes that do not fit in a line are dropped. A copy, because a view would keep the rest alive.
    this.#open.set(stream, Buffer.from(all.subarray(end, end + MAX_OPEN_BYTES)));
    const lines =
      end === 0
        ? []
        : all
            .toString("utf8", 0, end - 1)
            .split("\n")
            .map(clean);
    this.#lines.push(...lines.slice(-MAX_LINES));
    this.#lines.splice(0, this.#lines.length - MAX_LINES);
    return lines;
  }

  /** All lines, unterminated ones last. */
  lines(): string[] {
    const open = [...this.#open.values()].map((bytes) => clean(bytes.toString("utf8")));
    return [...this.#lines, ...open].filter((line) => line !== "");
  }

  toString(): string {
    return this.lines().join("\n");
  }
}

function clean(line: string): string {
  return withoutControls(line).slice(0, MAX_LINE_CHARACTERS);
}
