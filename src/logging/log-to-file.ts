import { closeSync, openSync, writeSync } from "node:fs";
import { addLogSink, LogLevel, type LogLevelName, type LogRecord } from "../core/log.ts";
import { formatRecord } from "../core/log-line.ts";

let detachEarlier: (() => void) | undefined;
/** Lines that wait for the end of {@link writeTogether}. */
let held: string | undefined;
let write: (lines: string) => void = () => undefined;

/**
 * Writes log records to a file, or to stderr: `19:11:32 I mitogen.ctx.local.32466: stdout: Hello`. A file is truncated. `level` is `info`
 * by default; `MITOGEN_LOG_LEVEL` overrides it (`IO` is debug plus a line per frame), an unknown name means `info`.
 * Calling it again replaces the earlier file. Throws what opening the file throws.
 *
 * What contexts print may move a terminal's cursor, change its title or imitate other lines. Such characters are written out
 * (`\\u001b`), colours excepted; `raw: true` writes them as they are.
 */
export function logToFile(path?: string, options: { level?: LogLevelName; raw?: boolean } = {}): void {
  const level = parseLevel((process.env.MITOGEN_LOG_LEVEL || options.level) ?? "info");
  const fd = path === undefined ? 2 : openSync(path, "w");
  detachEarlier?.();
  const { raw = false } = options;
  const detach = addLogSink((record) => {
    const line = `${formatRecord(record, raw)}\n`;
    if (held === undefined) writeAll(fd, Buffer.from(line));
    else held += line;
  }, level);
  write = (lines) => writeAll(fd, Buffer.from(lines));
  detachEarlier = () => {
    detach();
    if (path !== undefined) closeSync(fd);
  };
}

/**
 * Hands every record of at least `level` (`info` by default) to `sink`; returns the function that stops it. For pino:
 * `onLog(({ level, logger, message }) => pino[level === "warning" ? "warn" : level]({ logger }, message))`.
 */
export function onLog(sink: (record: LogRecord) => void, options: { level?: LogLevelName } = {}): () => void {
  return addLogSink(sink, parseLevel(options.level ?? "info"));
}

function parseLevel(name: string): LogLevel {
  const lower = name.toLowerCase();
  return Object.hasOwn(LogLevel, lower) ? LogLevel[lower as LogLevelName] : LogLevel.info;
}

/** Writes what is logged meanwhile in one piece: a system call for each line costs more than all else. */
export function writeTogether(log: () => void): void {
  held = "";
  try {
    log();
  } finally {
    const lines = held;
    held = undefined;
    if (lines !== "") write(lines);
  }
}

/** Stderr may be a pipe that somebody made non-blocking: a full one is waited for, nothing is dropped. */
function writeAll(fd: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
