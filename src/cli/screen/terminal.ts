import pc from "picocolors";
import type { Colors } from "picocolors/types.js";

/** The narrowest terminal that is written for; lines are cut to its width all the same. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** If more than this waits for the reader of stdout, commands wait. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** If more than this waits, output of functions is dropped. */
const MAX_WAITING_OUTPUT_BYTES = 32 * 1024 * 1024;

/** The part of a stream that is used here: `process.stdout`. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  readonly writableLength?: number | undefined;
  write(text: string, onWritten?: (error?: Error | null) => void): boolean;
  on(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown;
  on(event: "resize", listener: () => void): unknown;
  off(event: "resize", listener: () => void): unknown;
}

/** Where a command writes: results to stdout, everything else to stderr. */
export class Terminal {
  /** Colours, which do nothing if none are wanted: by NO_COLOR, FORCE_COLOR, and whether stdout is a terminal. */
  readonly colours: Colors;
  readonly #out: Output;
  readonly #err: Output;
  readonly #onClose: (error: NodeJS.ErrnoException) => void;
  #isClosed = false;
  #hasFailed = false;
  /**
   * Lines that wait until stdout takes more, in blocks. A stream's own queue would cost a hundred bytes more for each line, and
   * all of them may be longer than a string can be.
   */
  #held: string[] = [];
  #heldLength = 0;
  #leftOut = 0;
  #draining: Promise<void> | undefined;

  /** `onClose` is called once, when nobody reads stdout any more (`| head -1`). */
  constructor(
    out: Output,
    err: Output,
    environment: NodeJS.ProcessEnv,
    onClose: (error: NodeJS.ErrnoException) => void,
  ) {
    this.#out = out;
    this.#err = err;
    this.#onClose = onClose;
    this.colours = pc.createColors(wantsColours(out, environment));
    out.on("error", (error) => this.#close(error));
    // Nobody can be told that stderr has gone.
    err.on("error", () => undefined);
  }

  /** Whether stdout is a terminal. */
  get isTerminal(): boolean {
    return this.#out.isTTY === true;
  }

  /** Whether messages go to a terminal, where somebody can press Ctrl-C. */
  get isSeen(): boolean {
    return this.#err.isTTY === true;
  }

  /** The width of the terminal in columns; 80 if stdout is not a terminal. */
  get columns(): number {
    return this.#out.columns || DEFAULT_COLUMNS;
  }

  get rows(): number {
    return this.#out.rows || DEFAULT_ROWS;
  }

  /** Whether nobody reads stdout any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether stdout could not be written for another reason than a reader that has gone, such as a full disk. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Resolves when all output is written, or cannot be. Prints how much was left out. */
  async flush(): Promise<void> {
    await this.#draining;
    await this.#written();
    if (this.#leftOut === 0) return;
    this.#hasFailed = true;
    this.note(
      `mitogen: ${this.#leftOut} lines of output were left out, because they came faster than they were read`,
    );
  }

  /** Resolves when what waits for the reader of stdout has been read. Undefined if there is no need to wait. */
  drained(): Promise<void> | undefined {
    if (this.#isClosed || this.#waiting <= MAX_WAITING_BYTES) return undefined;
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  async #drain(): Promise<void> {
    while (!this.#isClosed && this.#waiting > MAX_WAITING_BYTES) {
      await this.#written();
      const held = this.#held;
      this.#held = [];
      this.#heldLength = 0;
      for (const block of held) this.#write(block);
    }
  }

  /** Whether too much waits for the reader of stdout to take more output of hosts. */
  get isOverfull(): boolean {
    return this.#waiting > MAX_WAITING_OUTPUT_BYTES;
  }

  /** Counts lines of output that are dropped. */
  leaveOut(lines: number = 1): void {
    this.#leftOut += lines;
  }

  get #waiting(): number {
    return (this.#out.writableLength ?? 0) + this.#heldLength;
  }

  #written(): Promise<void> {
    return new Promise((resolve) => {
      this.#out.write("", (error) => {
        if (error) this.#close(error);
        resolve();
      });
    });
  }

  /** Writes lines to stdout. Foreign text in them must be harmless already. */
  print(lines: string): void {
    this.write(`${lines}\n`);
  }

  /** Writes a message to stderr. */
  note(lines: string): void {
    this.#err.write(`${lines}\n`);
  }

  /** Writes to stdout as it is: for the live part of the screen. */
  write(text: string): void {
    if (this.#heldLength === 0 && this.drained() === undefined) this.#write(text);
    else this.#hold(text);
  }

  #hold(text: string): void {
    const last = this.#held.at(-1);
    if (last !== undefined && last.length < MAX_WAITING_BYTES)
      this.#held[this.#held.length - 1] = last + text;
    else this.#held.push(text);
    this.#heldLength += text.length;
  }

  #write(text: string): void {
    if (this.#isClosed) return;
    try {
      this.#out.write(text);
    } catch (error) {
      this.#close(error as NodeJS.ErrnoException);
    }
  }

  /** Calls `listener` when the terminal's size changes; returns what ends that. */
  onResize(listener: () => void): () => void {
    this.#out.on("resize", listener);
    return () => this.#out.off("resize", listener);
  }

  /** A full disk is reported; a reader that has gone is not. Both end the work. */
  #close(error: NodeJS.ErrnoException): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#hasFailed = error.code !== "EPIPE";
    if (this.#hasFailed) this.note(`mitogen: Cannot write to stdout: ${error.message}`);
    this.#onClose(error);
  }
}

function wantsColours(out: Output, environment: NodeJS.ProcessEnv): boolean {
  if (environment["NO_COLOR"]) return false;
  const forced = environment["FORCE_COLOR"];
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return out.isTTY === true && environment["TERM"] !== "dumb";
}
