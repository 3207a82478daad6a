import { closeSync, openSync, writeSync } from "node:fs";
import { callback, flag, text } from "../options/option-types.ts";
import { type OptionTable, readOptions, takeOption } from "../options/options.ts";
import { aboveOpenLine, watchOpenLine } from "../terminal/open-line.ts";
import { endHints } from "./hint.ts";
import { addLogSink, LogLevel, type LogLevelName, type LogRecord } from "./log.ts";
import { formatRecord } from "./log-line.ts";

const LOG_OPTIONS: OptionTable<{ level?: LogLevelName }> = {
  level: {
    wanted: `one of ${Object.keys(LogLevel).join(", ")}`,
    take(value, refuse) {
      if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
      if (!Object.hasOwn(LogLevel, value.toLowerCase())) throw refuse("ERR_INVALID_ARG_VALUE");
      return value as LogLevelName;
    },
  },
};
const FILE_OPTIONS: OptionTable<{ level?: LogLevelName; raw?: boolean }> = { ...LOG_OPTIONS, raw: flag };

let detachEarlier: (() => void) | undefined;
/** Lines that wait for the end of {@link writeTogether}. */
let held: string | undefined;
let write: (lines: string) => void = () => undefined;

/**
 * Writes log records to a file, or to stderr: `19:11:32 I mitogen.ctx.local.32466: stdout: Hello`. A file is
 * truncated. `level` is `info` by default; `MITOGEN_LOG_LEVEL` overrides it (`IO` is debug plus a line per
 * frame). An unknown name there means `info`. A second call replaces the earlier file. Throws Node's error if the
 * file cannot be opened.
 *
 * The output of contexts may move a terminal's cursor, change its title or imitate other lines. Such
 * characters are escaped (`\\u001b`), except for colours; `raw: true` writes them unchanged.
 *
 * On a terminal, an unfinished line of the program, such as a progress display or a question, stays below the
 * records.
 */
export function logToFile(path?: string, options: { level?: LogLevelName; raw?: boolean } = {}): void {
  const given = readOptions("log to a file", options, FILE_OPTIONS);
  if (path !== undefined) takeOption("log to a file", "the path", path, text);
  const level = parseLevel((process.env.MITOGEN_LOG_LEVEL || given.level) ?? "info");
  const fd = path === undefined ? 2 : openSync(path, "w");
  detachEarlier?.();
  endHints();
  if (fd === 2) watchOpenLine();
  const { raw = false } = given;
  write = (lines) => writeAll(fd, Buffer.from(fd === 2 ? aboveOpenLine(lines) : lines));
  const detach = addLogSink((record) => {
    const line = `${formatRecord(record, raw)}\n`;
    if (held === undefined) write(line);
    else held += line;
  }, level);
  detachEarlier = () => {
    detach();
    if (path !== undefined) closeSync(fd);
  };
}

/**
 * Passes every record of at least `level` (`info` by default) to `sink`. Returns a function that stops this.
 * For pino: `onLog(({ level, logger, message }) => pino[level === "warning" ? "warn" : level]({ logger },
 * message))`.
 */
export function onLog(sink: (record: LogRecord) => void, options: { level?: LogLevelName } = {}): () => void {
  takeOption("log", "the sink", sink, callback);
  endHints();
  return addLogSink(
    (record) => {
      const result: unknown = sink(record);
      // The error of an async sink is dropped too; unhandled, it would end the program.
      if (result instanceof Promise) result.catch(() => undefined);
    },
    parseLevel(readOptions("log", options, LOG_OPTIONS).level ?? "info"),
  );
}

function parseLevel(name: string): LogLevel {
  const lower = name.toLowerCase();
  return Object.hasOwn(LogLevel, lower) ? LogLevel[lower as LogLevelName] : LogLevel.info;
}

/**
 * Runs `log` and writes all lines that it logs with one system call. A call for each line would cost more than
 * everything else.
 */
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

/**
 * Writes all bytes. Stderr may be a pipe that another process made non-blocking; if it is full, this waits for room.
 */
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
