import type { LogRecord } from "./log.ts";

/** One line per record; a message of several lines is indented, so that it cannot pass for several records. */
export function formatRecord(record: LogRecord): string {
  const { time } = record;
  const date = new Date(Number.isFinite(time) && Math.abs(time) < 8.64e15 ? time : 0);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
  return `${clock} ${formatText(record)}`;
}

/** The same without the time. */
export function formatText({ level, logger, message }: LogRecord): string {
  return `${level.charAt(0).toUpperCase()} ${logger}: ${message.replace(/\r\n?|[\n\v\f\x85\u2028\u2029]/g, "\n    ")}`;
}
