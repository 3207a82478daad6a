import { LineSplitter } from "./line-splitter.ts";

/** Smaller pieces are joined. */
const SMALL_BYTES = 4096;
const LINE_FEED = 0x0a;

/**
 * A {@link LineSplitter} for the output of other contexts. It may come in millions of pieces without a line end, each of
 * which would be an object of a hundred bytes. So small ones are joined first.
 */
export class PieceSplitter {
  readonly #lines: LineSplitter;
  #joined: Buffer | undefined;
  #used = 0;

  constructor(onLines: (lines: string[]) => void) {
    this.#lines = new LineSplitter(onLines);
  }

  /** Delivers the last line, even if it was not terminated. */
  flush(): void {
    this.pass();
    this.#lines.flush();
  }

  /** Delivers the lines that `chunk` completes. Takes ownership of `chunk`. */
  take(chunk: Buffer): void {
    const isJoined = chunk.length < SMALL_BYTES && !chunk.includes(LINE_FEED);
    if (!isJoined || this.#used + chunk.length > 2 * SMALL_BYTES) this.pass();
    if (isJoined) {
      this.#joined ??= Buffer.allocUnsafeSlow(2 * SMALL_BYTES);
      this.#used += chunk.copy(this.#joined, this.#used);
    } else this.#lines.take(chunk);
  }

  private pass(): void {
    if (this.#joined === undefined) return;
    this.#lines.take(this.#joined.subarray(0, this.#used));
    this.#joined = undefined;
    this.#used = 0;
  }
}
