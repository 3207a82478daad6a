import { writeSync } from "node:fs";
import { Writable } from "node:stream";

/** The names of the standard streams, by descriptor. */
export const OUTPUT_NAMES: readonly string[] = ["stdin", "stdout", "stderr"];

/**
 * Replaces `process.stdout` and `process.stderr` by streams that write synchronously. Node's own stream for a
 * pipe would lose queued bytes at exit. It would also set O_NONBLOCK on the pipe, which subprocesses inherit, so
 * that their writes fail with EAGAIN. The broker thread reads the pipes, so a write never waits for this thread.
 */
export function installOutput(observer: { hasOutput: boolean }): void {
  replaceOutput((fd, chunk) => {
    observer.hasOutput = true;
    writeAll(fd, chunk);
  });
}

/** Makes `process.stdout` and `process.stderr` pass all that is written to them to `write`. */
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
  /** A method of Node's, which its own stdout uses too. */
  declare readonly _undestroy: () => void;
  readonly fd: number;
  readonly #write: (fd: number, chunk: Buffer) => void;

  constructor(fd: number, write: (fd: number, chunk: Buffer) => void) {
    super();
    this.fd = fd;
    this.#write = write;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#write(this.fd, chunk);
    done();
  }

  // Like Node's own streams, which go on after code such as `pipeline` has destroyed them.
  override _destroy(_error: Error | null, done: (error: null) => void): void {
    done(null);
    this._undestroy();
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAGAIN") return; // EPIPE: nobody reads it, as after a detach
      // Some code has set O_NONBLOCK, and the pipe is full. Waits a moment for its reader.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
