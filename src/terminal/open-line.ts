/** A longer line is no progress display and no question: its beginning is forgotten. */
const MAX_CHARACTERS = 4096;
/** What a terminal takes for a return to the beginning of the line. */
const TO_BEGINNING = /\x1b\[(?:[01]?G|2K)/g;
/** What moves the cursor to other lines: then nobody knows what is where. */
const TO_OTHER_LINES = /\x1b\[[\d;]*[ABEFHfd]|\x1b[78DM]/;
const CONTROL_SEQUENCE = /\x1b\[[\d;?]*[ -/]*[@-~]/g;
/** Up to the end of the screen. */
const CLEAR = "\x1b[J";

/** The unfinished last line of a terminal, such as a progress display or a question, and how to write lines above it. */
export class OpenLine {
  #text = "";
  #isKnown = true;

  /** What was written to the terminal. */
  note(text: string): void {
    const lastEnd = text.lastIndexOf("\n");
    if (lastEnd >= 0) {
      this.#text = "";
      this.#isKnown = true;
    }
    const rest = text.slice(lastEnd + 1).slice(-MAX_CHARACTERS);
    if (TO_OTHER_LINES.test(rest)) this.#isKnown = false;
    const line = (this.#text + rest.replace(TO_BEGINNING, "\r")).slice(-MAX_CHARACTERS);
    // What is written over is forgotten. At the end of the text the return is part of what is shown.
    let end = line.length;
    while (line[end - 1] === "\r") end -= 1;
    this.#text = line.slice(line.slice(0, end).lastIndexOf("\r") + 1);
  }

  /** What to write in place of complete lines, so that the open line stays below them. */
  above(lines: string, columns: number | undefined): string {
    const width = this.#text.replace(CONTROL_SEQUENCE, "").replace(/\r/g, "").length;
    if (width === 0 || !this.#isKnown) return lines;
    const rowsAbove = columns === undefined ? 0 : Math.floor((width - 1) / columns);
    const up = rowsAbove > 0 ? `\x1b[${rowsAbove}A` : "";
    return `\r${up}${CLEAR}${lines}${this.#text}`;
  }
}

const openLine = new OpenLine();
let isWatching = false;

/** From now on the open line of this program's terminal is known, as far as stdout and stderr lead there. */
export function watchOpenLine(): void {
  if (isWatching || !process.stderr.isTTY) return;
  isWatching = true;
  for (const stream of [process.stdout, process.stderr]) {
    if (!stream.isTTY) continue;
    const write = stream.write;
    stream.write = function (this: unknown, chunk: unknown, ...rest: unknown[]): boolean {
      openLine.note(typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array).toString());
      return write.apply(stream, [chunk, ...rest] as never);
    } as typeof stream.write;
  }
}

/** Complete lines for stderr, as they are to be written so that the open line stays. */
export function aboveOpenLine(lines: string): string {
  return isWatching ? openLine.above(lines, process.stderr.columns) : lines;
}
