const MAX_LINES = 100;
const MAX_LINE_CHARACTERS = 2000;

/**
 * The last lines of diagnostics of a process that is starting, from all its streams in the order they came. Memory is bounded whatever
 * arrives; bytes that are no UTF-8, and control characters, are made harmless: this text ends up in errors and terminals.
 */
export class History {
  readonly #lines: string[] = [];
  readonly #open: Map<string, string> = new Map();

  /** Takes bytes of one stream; returns the lines they completed. */
  push(stream: string, bytes: Buffer): string[] {
    const text = (this.#open.get(stream) ?? "") + bytes.toString("utf8");
    const pieces = text.split("\n");
    // What does not fit in a line is dropped, not kept for later.
    this.#open.set(stream, (pieces.pop() ?? "").slice(0, MAX_LINE_CHARACTERS));
    const lines = pieces.map(clean);
    this.#lines.push(...lines.slice(-MAX_LINES));
    this.#lines.splice(0, this.#lines.length - MAX_LINES);
    return lines;
  }

  /** All lines, unterminated ones last. */
  lines(): string[] {
    const open = [...this.#open.values()].map(clean);
    return [...this.#lines, ...open].filter((line) => line !== "");
  }

  toString(): string {
    return this.lines().join("\n");
  }
}

function clean(line: string): string {
  return line
    .replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "")
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "")
    .slice(0, MAX_LINE_CHARACTERS);
}
