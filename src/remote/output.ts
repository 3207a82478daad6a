import { writeSync } from "node:fs";
import { Writable } from "node:stream";

/** The names of the descriptors. */
export const OUTPUT_NAMES: readonly string[] = ["stdin", "stdout", "stderr"];

/**
 * Replaces `process.stdout` and `process.stderr` by streams that write synchronously. Node's own stream for a
 * pipe would set O_NONBLOCK on it, which subprocesses inherit and fail by (EAGAIN), and would lose queued
 * bytes at exit. The broker thread always reads, so a write waits for nothing else.
 */
export function installOutput(observer: { hasOutput: boolean }): void {
  replaceOutput((fd, chunk) => {
    observer.hasOutput = true;
    writeAll(fd, chunk);
  });
}

/** Calls `write` for everything that is written to one of the two. */
export function replaceOutput(write: (fd: number, chunk: Buffer) => void): void {
  for (const fd of [1, 2]) {
    let stream: Writable | undefined;
    Object.defineProperty(process, OUTPUT_NAMES[fd] as string, {
      configurable: true,
      enumerable: true,
      get: () => {
        stream ??= new OutputStream(fd, write);
        return stream;
      },
    });
  }
}

class OutputStream extends Writable {
  readonly fd: number;
  readonly #write: (fd: number, chunk: Buffer) => void;

  constructor(fd: number, write: (fd: number, chunk: Buffer) => void) {
    super({ decodeStrings: true });
    this.fd = fd;
    this.#write = write;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#write(this.fd, chunk);
    done();
  }

  // Like Node's own streams: ending or destroying them does not close the descriptor.
  override _destroy(_error: Error | null, done: (error: null) => void): void {
    done(null);
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAGAIN") return; // EPIPE: nobody reads it, as after a detach
      // Some code set O_NONBLOCK and the pipe is full. Waits a moment for its reader.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
