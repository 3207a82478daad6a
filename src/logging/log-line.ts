import { oneLine, showControls } from "../text/harmless.ts";
import type { LogRecord } from "./log.ts";

/** The indentation of a record's further lines, so that they cannot look like other records. */
const LINE_END = "\n    ";

/**
 * Formats a record as one line. Further lines of the message are indented. `isRaw` keeps control sequences.
 */
export function formatRecord(record: LogRecord, isRaw = false): string {
  return `${clockAt(Math.floor(record.time / 1000))} ${formatText(record, isRaw)}`;
}

/** Formats a record without its time. */
export function formatText({ level, logger, message }: LogRecord, isRaw = false): string {
  const text = isRaw
    ? message.replace(/\r$/, "").replace(/\r\n?|\n/g, LINE_END)
    : showControls(message, LINE_END);
  // `io` is not I, which is INFO: it is what DEBUG does not show yet.
  return `${level === "io" ? "D" : level.charAt(0).toUpperCase()} ${shown(logger)}: ${text}`;
}

// Cached, because most records have the time and the logger of the one before.
let knownSecond = Number.NaN;
let knownClock = "";
let knownLogger = "";
let shownLogger = "";

function clockAt(second: number): string {
  if (second === knownSecond) return knownClock;
  const date = new Date(Math.abs(second) < 8.64e12 ? second * 1000 : 0);
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()];
  knownClock = parts.map((part) => String(part).padStart(2, "0")).join(":");
  knownSecond = second;
  return knownClock;
}

function shown(logger: string): string {
  if (logger !== knownLogger) {
    shownLogger = oneLine(logger);
    knownLogger = logger;
  }
  return shownLogger;
}
