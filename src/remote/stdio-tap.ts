import { readSync } from "node:fs";
import { Socket } from "node:net";
import { LineSplitter } from "../text/line-splitter.ts";

/** The most bytes that one {@link StdioTap.drain} reads, because a subprocess may never stop writing. */
const MAX_DRAIN_BYTES = 1024 * 1024;

/**
 * The reading end of this process's own stdout or stderr. It delivers everything that user code and its
 * subprocesses write there, in lines. Bytes that are not UTF-8 become U+FFFD.
 */
export class StdioTap {
  readonly #fd: number;
  readonly #lines: LineSplitter;
  readonly #socket: Socket;
  #buffer: Buffer | undefined;

  constructor(fd: number, onLines: (lines: string[]) => void) {
    this.#fd = fd;
    this.#lines = new LineSplitter(onLines);
    const flush = (): void => this.flush();
    this.#socket = new Socket({ fd, readable: true, writable: false })
      .on("data", (chunk) => this.#lines.take(chunk as Buffer))
      .on("end", flush)
      .on("error", flush);
  }

  /** Stops reading. Writers block once the pipe is full. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Reads the bytes that are in the pipe now, without waiting. */
  drain(): void {
    this.#buffer ??= Buffer.allocUnsafeSlow(64 * 1024);
    for (let total = 0; total < MAX_DRAIN_BYTES; ) {
      let bytes = 0;
      try {
        bytes = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, null);
      } catch {
        return; // EAGAIN: the pipe is empty, but still open. Any other error means that nothing more will come.
      }
      if (bytes === 0) return;
      this.#lines.take(Buffer.from(this.#buffer.subarray(0, bytes)));
      total += bytes;
    }
  }

  /** Delivers the last line, even if it was not terminated. */
  flush(): void {
    this.#lines.flush();
  }
}
