import type { TestContext } from "node:test";
import { addLogSink, LogLevel, type LogLevelName, type LogRecord } from "../../src/logging/log.ts";

/** The records of one test, from now to its end. */
export function captureLogs(t: TestContext, level: LogLevelName = "debug"): LogRecord[] {
  const records: LogRecord[] = [];
  t.after(addLogSink((record) => records.push(record), LogLevel[level]));
  return records;
}

/** Their lines, as `error: message`. */
export function printed(records: readonly LogRecord[]): string[] {
  return records.map(({ level, message }) => `${level}: ${message}`);
}
