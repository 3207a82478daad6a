import { readSync } from "node:fs";
import { Socket } from "node:net";

/** A line longer than this is delivered in parts: memory must have a bound. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** The most one {@link StdioTap.drain} reads: a subprocess that never stops writing must not hold it up. */
const MAX_DRAIN_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

/**
 * The reading end of this process's own stdout or stderr: everything written there, by user code or by its subprocesses,
 * comes out in lines. Bytes that are no UTF-8 become U+FFFD.
 */
export class StdioTap {
  readonly #fd: number;
  readonly #onLines: (lines: string[]) => void;
  readonly #socket: Socket;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #buffer: Buffer | undefined;

  constructor(fd: number, onLines: (lines: string[]) => void) {
    this.#fd = fd;
    this.#onLines = onLines;
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on("data", (chunk) => this.take(chunk as Buffer));
    this.#socket.on("end", () => this.flush());
    this.#socket.on("error", () => this.flush());
  }

  /** Stops reading: the writers block once the pipe is full. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Reads what is in the pipe now, without waiting. */
  drain(): void {
    this.#buffer ??= Buffer.allocUnsafeSlow(64 * 1024);
    for (let total = 0; total < MAX_DRAIN_BYTES; ) {
      let bytes = 0;
      try {
        bytes = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, null);
      } catch {
        return; // EAGAIN: empty, but still open; anything else is as final as the end
      }
      if (bytes === 0) return;
      this.take(Buffer.from(this.#buffer.subarray(0, bytes)));
      total += bytes;
    }
  }

  /** Delivers the last line although it was never terminated. */
  flush(): void {
    if (this.#partialBytes === 0) return;
    const last = Buffer.concat(this.#partial, this.#partialBytes);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#onLines([last.toString("utf8")]);
  }

  private take(chunk: Buffer): void {
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
