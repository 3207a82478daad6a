/**
 * Log records of this process: named loggers in, sinks out. In a child the only sink sends the records
 * to the master (FORWARD_LOG); in the master there is none until the program asks, with `logToFile` or `onLog`.
 */
import { textOf } from "../wire/values/thrown.ts";

/** Severities, the smaller the more important. `io` is debug with every frame traced. */
export const LogLevel = { none: 0, error: 1, warning: 2, info: 3, debug: 4, io: 5 } as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];
/** Severities from the most to the least important. `none` as a threshold logs nothing, `io` traces every message. */
export type LogLevelName = keyof typeof LogLevel;

/** One log record, of this process or forwarded from a context. */
export interface LogRecord {
  /** Milliseconds since the epoch, by the clock of the process that logged. */
  readonly time: number;
  /** How important it is. */
  readonly level: Exclude<LogLevelName, "none">;
  /** `mitogen.ctx.local.32466` for a forwarded record. */
  readonly logger: string;
  /** The text, without a line end. For a forwarded record the logger's name over there stands in front. */
  readonly message: string;
  /** The context it came from; only on forwarded records, as are the next two. */
  readonly mitogenContext?: unknown;
  /** The logger's name over there. */
  readonly mitogenName?: string;
  /** The message over there, without the logger's name in front. */
  readonly mitogenMsg?: string;
}

export type LogSink = (record: LogRecord) => void;

/** A named source of records. Messages are strings; format before logging. */
export interface Logger {
  /** The name that records are marked with. */
  readonly name: string;
  /** Logs what has failed. */
  error(message: string): void;
  /** Logs what went wrong and was dealt with. */
  warning(message: string): void;
  /** Logs what people want to see in normal operation; the default of `logToFile`. */
  info(message: string): void;
  /** Logs what helps to find a fault. */
  debug(message: string): void;
  /** Frame tracing; only shown at level `io`. */
  io(message: string): void;
  /** Whether a record of this level would reach anyone: guards costly formatting. */
  isEnabled(level: LogLevelName): boolean;
}

interface Attached {
  readonly sink: LogSink;
  readonly level: LogLevel;
}

/** With no sink at all, what children are told to send: nobody listens, but someone may look at errors later. */
const DEFAULT_LEVEL: LogLevel = LogLevel.warning;

/** So many in a second are told one by one. */
const CALM_RECORDS = 100;

const sinks = new Set<Attached>();
let threshold: LogLevel = LogLevel.none;
let isEmitting = false;
const reentrant: LogRecord[] = [];

/**
 * Attaches a sink; returns the function that detaches it. A sink that throws is a bug of the sink: the
 * error is dropped, other sinks still get the record. A record logged from inside a sink is delivered after
 * the current one, so a sink that logs on every record would never end: it is given one level of depth.
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

/** The level this process listens at; copied to a child when it connects. */
export function logLevel(): LogLevel {
  return sinks.size === 0 ? DEFAULT_LEVEL : threshold;
}

export function isLogEnabled(level: LogLevel): boolean {
  return level <= threshold;
}

/** Hands a finished record to every sink that wants its level. Never throws. */
export function emitRecord(record: LogRecord): void {
  if (LogLevel[record.level] > threshold) return;
  if (isEmitting) {
    reentrant.push(record);
    return;
  }
  isEmitting = true;
  deliver(record);
  // What the sinks logged meanwhile, once; what they log about that is dropped: no feedback loop.
  for (const nested of reentrant.splice(0)) deliver(nested);
  reentrant.length = 0;
  isEmitting = false;
}

/**
 * A logger for this process; in a remote function its records arrive at the master. `isCalm`: what others can cause at will is told
 * by its number, once it is a flood; not what is only told on request, at level debug.
 */
export function getLogger(name: string, isCalm = false): Logger {
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
      // See addLogSink: there is nobody left to tell.
    }
  }
}

function updateThreshold(): void {
  threshold = LogLevel.none;
  for (const { level } of sinks) if (level > threshold) threshold = level;
}
