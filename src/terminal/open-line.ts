/** The most characters kept of a line. A longer line is no progress display and no question. */
const MAX_CHARACTERS = 4096;
/** Sequences that return the cursor to the beginning of the line. */
const TO_BEGINNING = /\x1b\[(?:[01]?G|2K)/g;
/** Sequences that move the cursor to other lines. The position is then unknown. */
const TO_OTHER_LINES = /\x1b\[[\d;]*[ABEFHfd]|\x1b[78DM]/;
const CONTROL_SEQUENCE = /\x1b\[[\d;?]*[ -/]*[@-~]/g;
/** Clears up to the end of the screen. */
const CLEAR = "\x1b[J";

/** The beginning of a display of several lines that is redrawn: the cursor goes back to its first line. */
const BACK_UP = /^(?:\r|\x1b\[[\d;?]*[A-Za-z])*/;
/** More lines than a terminal has are not written again. */
const MAX_LOGGED_CHARACTERS = 65_536;

/**
 * The unfinished last line of a terminal, such as a progress display or a question. Other lines can be
 * written above it.
 */
export class OpenLine {
  #text = "";
  #isKnown = true;
  /** What was written by {@link above} since the last {@link note}. */
  #logged = "";
  /** A tool writes to the terminal, or has written to it, so the position of the cursor is unknown. */
  #isShared = false;

  /** Call this with text that was written to the terminal. */
  note(text: string): void {
    this.#logged = "";
    const lastEnd = text.lastIndexOf("\n");
    if (lastEnd >= 0) {
      this.#text = "";
      this.#isKnown = true;
    }
    const rest = text.slice(lastEnd + 1).slice(-MAX_CHARACTERS);
    if (TO_OTHER_LINES.test(rest)) this.#isKnown = false;
    const line = (this.#text + rest.replace(TO_BEGINNING, "\r")).slice(-MAX_CHARACTERS);
    // Overwritten text is dropped. A return at the end of the text belongs to the open line.
    let end = line.length;
    while (line[end - 1] === "\r") end -= 1;
    this.#text = line.slice(line.slice(0, end).lastIndexOf("\r") + 1);
  }

  /** Returns the text to write for complete lines, so that the open line stays below them. */
  above(lines: string, columns: number | undefined): string {
    if (this.#logged.length < MAX_LOGGED_CHARACTERS) this.#logged += lines;
    // This many spaces end in the next line, unless the cursor is at the beginning of a line.
    if (this.#isShared) return `${" ".repeat(Math.max(0, (columns ?? 1) - 1))}\r${CLEAR}${lines}`;
    const width = this.#text.replace(CONTROL_SEQUENCE, "").replace(/\r/g, "").length;
    if (width === 0 || !this.#isKnown) return lines;
    const rowsAbove = columns === undefined ? 0 : Math.floor((width - 1) / columns);
    const up = rowsAbove > 0 ? `\x1b[${rowsAbove}A` : "";
    return `\r${up}${CLEAR}${lines}${this.#text}`;
  }

  /**
   * Returns what to write before `text`. If `text` redraws a display of several lines, and lines were logged below the
   * display, they are moved above it.
   */
  ahead(text: string, columns: number = 80, rows: number = Number.POSITIVE_INFINITY): string {
    const moves = (BACK_UP.exec(text)?.[0] ?? "").matchAll(/\x1b\[(\d*)[AF]/g);
    let height = 0;
    for (const [, count] of moves) height += Number(count || 1);
    if (height === 0 || this.#logged === "") return "";
    const below = "\n".repeat(height);
    const lines = this.#logged.replace(CONTROL_SEQUENCE, "").split("\n").slice(0, -1);
    const logged = lines.reduce((sum, { length }) => sum + Math.max(1, Math.ceil(length / columns)), 0);
    // Lines that have left the screen cannot be moved, so the display is drawn again below them.
    if (height + logged >= rows) return below;
    return `\r\x1b[${height + logged}A${CLEAR}${this.#logged}${below}`;
  }

  /** From now on, another process writes to the terminal. */
  share(): void {
    this.#text = "";
    this.#isShared = true;
  }

  /** No other process writes any more. The position of the cursor is known again after the program's next line end. */
  unshare(): void {
    this.#isShared = false;
  }
}

const openLine = new OpenLine();
let isWatching = false;

/** From now on, watches the open line of this program's terminal, as far as stdout and stderr lead there. */
export function watchOpenLine(): void {
  if (isWatching || !process.stderr.isTTY) return;
  isWatching = true;
  for (const stream of [process.stdout, process.stderr]) {
    if (!stream.isTTY) continue;
    const write = stream.write;
    stream.write = function (this: unknown, chunk: unknown, ...rest: unknown[]): boolean {
      const text = typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array).toString();
      const ahead = openLine.ahead(text, stream.columns || undefined, stream.rows || undefined);
      if (ahead !== "") write.call(stream, ahead);
      openLine.note(text);
      return write.apply(stream, [chunk, ...rest] as never);
    } as typeof stream.write;
  }
}

let sharers = 0;

/** Call this if a tool writes to the program's terminal, too. Call the returned function when the tool ends. */
export function shareTerminal(): () => void {
  sharers += 1;
  openLine.share();
  return () => {
    sharers -= 1;
    if (sharers === 0) openLine.unshare();
  };
}

/** Returns complete lines for stderr in a form that keeps the open line. */
export function aboveOpenLine(lines: string): string {
  return isWatching ? openLine.above(lines, process.stderr.columns) : lines;
}
