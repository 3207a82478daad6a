import { writeSync } from "node:fs";
import { Writable } from "node:stream";
import { LineSplitter } from "../core/line-splitter.ts";

/**
 * Replaces `process.stdout` and `process.stderr` by streams that write synchronously. Node's own for a pipe would set O_NONBLOCK on it,
 * which subprocesses inherit and fail by (EAGAIN), and would lose what is queued at exit. The broker thread is always reading,
 * so a write waits at most for it.
 */
export function installOutput(observer: { hasOutput: boolean }): void {
  replace("stdout", () => new OutputStream(1, observer));
  replace("stderr", () => new OutputStream(2, observer));
}

/** The same for a thread, whose process's descriptors are not its own: what it writes is handed over line by line. */
export function captureOutput(onLines: (name: string, lines: string[]) => void): void {
  for (const name of ["stdout", "stderr"] as const) {
    const lines = new LineSplitter((complete) => onLines(name, complete));
    process.on("exit", () => lines.flush());
    replace(name, () => {
      return new Writable({
        write(chunk: Buffer, _encoding, done) {
          lines.take(Buffer.from(chunk));
          done();
        },
      });
    });
  }
}

function replace(name: "stdout" | "stderr", make: () => Writable): void {
  let stream: Writable | undefined;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      stream ??= make();
      return stream;
    },
  });
}

class OutputStream extends Writable {
  readonly fd: 1 | 2;
  readonly #observer: { hasOutput: boolean };

  constructor(fd: 1 | 2, observer: { hasOutput: boolean }) {
    super({ decodeStrings: true });
    this.fd = fd;
    this.#observer = observer;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#observer.hasOutput = true;
    writeAll(this.fd, chunk);
    done();
  }

  // Like the real ones: ending or destroying them does not close the descriptor.
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
      if (code !== "EAGAIN") return; // EPIPE: nobody reads any more, as after a detach
      // Someone set O_NONBLOCK and the pipe is full: give its reader a moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
