/** A line longer than this is delivered in parts: memory must have a bound. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** More are delivered in several calls: no batch of records may be larger. docs/protocol.md#forward_log */
const MAX_LINES = 1000;
const LINE_FEED = 0x0a;

/** Cuts bytes into lines, however they arrive. Bytes that are no UTF-8 become U+FFFD. */
export class LineSplitter {
  readonly #onLines: (lines: string[]) => void;
  #partial: Buffer[] = [];
  #partialBytes = 0;

  constructor(onLines: (lines: string[]) => void) {
    this.#onLines = onLines;
  }

  /** Delivers the last line although it was never terminated. */
  flush(): void {
    if (this.#partialBytes === 0) return;
    const last = Buffer.concat(this.#partial, this.#partialBytes);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#onLines([last.toString("utf8")]);
  }

  /** Takes ownership of `chunk`. */
  take(chunk: Buffer): void {
    let end = chunk.indexOf(LINE_FEED);
    if (end < 0) {
      this.keep(chunk);
      return;
    }
    const lines: string[] = [];
    let start = 0;
    if (this.#partialBytes > 0) {
      this.#partial.push(chunk.subarray(0, end));
      lines.push(Buffer.concat(this.#partial, this.#partialBytes + end).toString("utf8"));
      this.#partial = [];
      this.#partialBytes = 0;
      start = end + 1;
      end = chunk.indexOf(LINE_FEED, start);
    }
    for (; end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      if (lines.length === MAX_LINES) this.#onLines(lines.splice(0));
      lines.push(chunk.toString("utf8", start, end));
      start = end + 1;
    }
    this.#onLines(lines);
    if (start < chunk.length) this.keep(chunk.subarray(start));
  }

  private keep(bytes: Buffer): void {
    this.#partial.push(bytes);
    this.#partialBytes += bytes.length;
    if (this.#partialBytes > MAX_LINE_BYTES) this.flush();
  }
}
