/** Longer lines are delivered in parts, so that memory is bounded. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** The most lines of one call, because a batch of log records must not hold more: docs/protocol.md#forward_log. */
const MAX_LINES = 1000;
const LINE_FEED = 0x0a;

/** Splits bytes into lines, however the bytes were cut. Bytes that are not UTF-8 become U+FFFD. */
export class LineSplitter {
  readonly #onLines: (lines: string[]) => void;
  #partial: Buffer[] = [];
  #partialBytes = 0;

  constructor(onLines: (lines: string[]) => void) {
    this.#onLines = onLines;
  }

  /** Delivers the last line, even if it was not terminated. */
  flush(): void {
    if (this.#partialBytes === 0) return;
    this.#onLines([this.takePartial()]);
  }

  /** Delivers the lines that `chunk` completes. Takes ownership of `chunk`. */
  take(chunk: Buffer): void {
    let end = chunk.indexOf(LINE_FEED);
    if (end < 0) {
      this.keepPartial(chunk);
      return;
    }
    const lines: string[] = [];
    let start = 0;
    if (this.#partialBytes > 0) {
      this.#partial.push(chunk.subarray(0, end));
      lines.push(this.takePartial());
      start = end + 1;
      end = chunk.indexOf(LINE_FEED, start);
    }
    for (; end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      if (lines.length === MAX_LINES) this.#onLines(lines.splice(0));
      lines.push(chunk.toString("utf8", start, end));
      start = end + 1;
    }
    this.#onLines(lines);
    if (start < chunk.length) this.keepPartial(chunk.subarray(start));
  }

  private takePartial(): string {
    const text = Buffer.concat(this.#partial).toString("utf8");
    this.#partial = [];
    this.#partialBytes = 0;
    return text;
  }

  private keepPartial(bytes: Buffer): void {
    this.#partial.push(bytes);
    this.#partialBytes += bytes.length;
    if (this.#partialBytes > MAX_LINE_BYTES) this.flush();
  }
}
