/**
 * The log records of this process, from named loggers to sinks. In a child, the only sink sends the records
 * to the master (FORWARD_LOG). In the master there is no sink until the program adds one, with `logToFile` or
 * `onLog`.
 */
import { textOf } from "../wire/values/thrown.ts";

/** The severities; a smaller number is more important. `io` is debug with a record for every frame. */
export const LogLevel = { none: 0, error: 1, warning: 2, info: 3, debug: 4, io: 5 } as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];
/** Severities from the most to the least important. `none` as a threshold logs nothing, `io` traces every message. */
export type LogLevelName = keyof typeof LogLevel;

/** One log record, of this process or forwarded from a context. */
export interface LogRecord {
  /** Milliseconds since the epoch, by the clock of the process that logged. */
  readonly time: number;
  /** The severity. */
  readonly level: Exclude<LogLevelName, "none">;
  /** The name of the logger. For a forwarded record, the name of the context: `mitogen.ctx.local.32466`. */
  readonly logger: string;
  /** The text, without a line end. In a forwarded record, the name of the context's logger precedes it. */
  readonly message: string;
  /** The context of a forwarded record. Only forwarded records have it and the next two fields. */
  readonly mitogenContext?: unknown;
  /** The logger's name in that context. */
  readonly mitogenName?: string;
  /** The message in that context, without the logger's name before it. */
  readonly mitogenMsg?: string;
}

export type LogSink = (record: LogRecord) => void;

/** A named source of records. Messages are strings; format before logging. */
export interface Logger {
  /** The name that records are marked with. */
  readonly name: string;
  /** Logs what has failed. */
  error(message: string): void;
  /** Logs a problem that was dealt with. */
  warning(message: string): void;
  /** Logs an event of normal operation. `logToFile` shows this level and the more important ones by default. */
  info(message: string): void;
  /** Logs a detail that helps to find a fault. */
  debug(message: string): void;
  /** Logs a record about a frame. Shown only at level `io`. */
  io(message: string): void;
  /** Whether any sink wants records of this level. Use it before costly formatting. */
  isEnabled(level: LogLevelName): boolean;
}

interface Attached {
  readonly sink: LogSink;
  readonly level: LogLevel;
}

/** The level for children if there is no sink, because a sink that comes later may want these records. */
const DEFAULT_LEVEL: LogLevel = LogLevel.warning;

/** A calm logger logs this many records a second, and counts the others. */
const CALM_RECORDS = 100;

const sinks = new Set<Attached>();
let threshold: LogLevel = LogLevel.none;
let isEmitting = false;
const reentrant: LogRecord[] = [];

/**
 * Attaches a sink. Returns the function that detaches it. If a sink throws, the error is dropped, and other
 * sinks still get the record. A record that a sink itself logs is delivered after the current one. What sinks
 * log about that record is dropped, because a sink that logs for every record would never end.
 */
export function addLogSink(sink: LogSink, level: LogLevel = LogLevel.info): () => void {
  const attached = { sink, level };
  sinks.add(attached);
  updateThreshold();
  return () => {
    sinks.delete(attached);
    updateThreshold();
  };
}

/** The least important level that this process listens to. A child gets it when it connects. */
export function logLevel(): LogLevel {
  return sinks.size === 0 ? DEFAULT_LEVEL : threshold;
}

export function isLogEnabled(level: LogLevel): boolean {
  return level <= threshold;
}

/** Passes a record to every sink that wants its level. Never throws. */
export function emitRecord(record: LogRecord): void {
  if (LogLevel[record.level] > threshold) return;
  if (isEmitting) {
    reentrant.push(record);
    return;
  }
  isEmitting = true;
  deliver(record);
  // Delivers once what the sinks logged meanwhile. What they log about that is dropped, to avoid a loop.
  for (const nested of reentrant.splice(0)) deliver(nested);
  reentrant.length = 0;
  isEmitting = false;
}

/**
 * Returns a logger of this process. In a context, its records travel to the master. `isCalm` is for
 * records that others can cause at will: a flood of them is only counted. It does not apply to level debug,
 * which is only logged on request. Throws a TypeError if the name is not a string.
 */
export function getLogger(name: string, isCalm = false): Logger {
  if (typeof name !== "string") {
    const error = new TypeError(`Cannot get a logger: the name must be a string, got ${typeof name}`);
    throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
  }
  const log = (level: Exclude<LogLevelName, "none">) => {
    let count = 0;
    const write = (message: string): void =>
      emitRecord({ time: Date.now(), level, logger: name, message: textOf(message) });
    return (message: string) => {
      if (LogLevel[level] > threshold) return;
      if (isCalm && LogLevel[level] <= LogLevel.warning) {
        count += 1;
        if (count === 1) {
          setTimeout(() => {
            const more = count - CALM_RECORDS;
            count = 0;
            if (more > 0) write(`… and ${more} more such records within a second`);
          }, 1000).unref();
        }
        if (count > CALM_RECORDS) return;
      }
      write(message);
    };
  };
  return {
    name,
    error: log("error"),
    warning: log("warning"),
    info: log("info"),
    debug: log("debug"),
    io: log("io"),
    isEnabled: (level) => LogLevel[level] <= threshold,
  };
}

function deliver(record: LogRecord): void {
  const level = LogLevel[record.level];
  for (const attached of sinks) {
    if (level > attached.level) continue;
    try {
      attached.sink(record);
    } catch {
      // See addLogSink. A record about this error would only reach the same sinks.
    }
  }
}

function updateThreshold(): void {
  threshold = LogLevel.none;
  for (const { level } of sinks) if (level > threshold) threshold = level;
}
