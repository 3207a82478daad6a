import { oneLine, showControls } from "./harmless.ts";
import type { LogRecord } from "./log.ts";

/** What a record's further lines begin with, so that they cannot pass for other records. */
const LINE_END = "\n    ";

/** One line per record; the further lines of a message are indented. `isRaw` leaves control sequences as they are. */
export function formatRecord(record: LogRecord, isRaw = false): string {
  const { time } = record;
  const date = new Date(Number.isFinite(time) && Math.abs(time) < 8.64e15 ? time : 0);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
  return `${clock} ${formatText(record, isRaw)}`;
}

/** The same without the time. */
export function formatText({ level, logger, message }: LogRecord, isRaw = false): string {
  const text = isRaw ? message.replace(/\r\n?|\n/g, LINE_END) : showControls(message, LINE_END);
  return `${level.charAt(0).toUpperCase()} ${oneLine(logger)}: ${text}`;
}
