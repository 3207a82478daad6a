import { closeSync, openSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addLogSink, LogLevel } from "../logging/log.ts";
import { formatText } from "../logging/log-line.ts";

/** How many names to try: two threads of one process may ask in the same second. */
const MAX_NAMES = 100;

/**
 * A file with every log record of this thread, including those about frames, until {@link close}:
 * `<tmp>/mitogen.<pid>.<YYYYmmdd_HHMMSS>.log`. Only its owner can read it. Its first lines name the parent
 * process, and `stack`, the code that asked for the file. Throws the errors of opening a file.
 */
export class DebugFile {
  readonly path: string;
  readonly #fd: number;
  readonly #detach: () => void;

  constructor(parentPid: number, stack: string) {
    const { fd, path } = openNew(join(tmpdir(), `mitogen.${process.pid}.${timestamp(new Date())}`));
    this.#fd = fd;
    this.path = path;
    this.write(
      `Process ${process.pid}, node ${process.version}, ${process.platform} ${process.arch}\nParent PID: ${parentPid}\nCreated by:\n${stack}\n`,
    );
    this.#detach = addLogSink((record) => {
      this.write(`${new Date(record.time).toISOString()} ${formatText(record)}`);
    }, LogLevel.io);
  }

  close(): void {
    this.#detach();
    closeSync(this.#fd);
  }

  private write(line: string): void {
    writeSync(this.#fd, `${line}\n`);
  }
}

/** Opens a new file. Does not follow a link that somebody has put into the shared folder. */
function openNew(start: string): { fd: number; path: string } {
  for (let turn = 0; ; turn++) {
    const path = `${start}${turn === 0 ? "" : `.${turn}`}.log`;
    try {
      return { fd: openSync(path, "wx", 0o600), path };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || turn >= MAX_NAMES) throw error;
    }
  }
}

function timestamp(date: Date): string {
  const parts = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()];
  const digits = (numbers: number[]): string => numbers.map((part) => String(part).padStart(2, "0")).join("");
  return `${digits(parts)}_${digits(clock)}`;
}
