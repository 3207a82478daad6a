import { hasParentAuthority } from "../core/policy.ts";
import type { CoreRouter } from "../core/router.ts";
import { LogLevel } from "../logging/log.ts";
import { LineSplitter } from "../text/line-splitter.ts";
import { Handle } from "../wire/handles.ts";
import { cut, MAX_MESSAGE } from "../wire/values/error-value.ts";
import { OUTPUT_NAMES, replaceOutput } from "./output.ts";

/** The most bytes that one UTF-16 code unit takes in UTF-8. */
const MAX_CHARACTER_BYTES = 3;
/** The most bytes that a record of output takes besides its text. */
const RECORD_BYTES = 30;

/**
 * Does in a context that is a thread what a broker thread does in others: answers PING, forwards output, and ends
 * the context.
 */
export function startThread(
  router: CoreRouter,
  logLevel: LogLevel,
  toMaster: (records: unknown[]) => void,
): void {
  captureOutput((name, lines) => {
    if (logLevel < LogLevel.info) return;
    const time = Date.now();
    let bytes = 0;
    for (const line of lines) bytes += line.length * MAX_CHARACTER_BYTES + RECORD_BYTES;
    // Too many for one message. Of a line that is too long itself, the beginning is sent.
    const batches = bytes > router.maxMessageBytes ? lines.map((line) => [cut(line, MAX_MESSAGE)]) : [lines];
    for (const batch of batches) toMaster(batch.map((line) => [name, LogLevel.info, line, time]));
  });
  router.addHandler((message) => message.reply(null), { handle: Handle.PING, service: true });
  router.addHandler(() => process.exit(), {
    handle: Handle.SHUTDOWN,
    policy: hasParentAuthority,
    service: true,
  });
}

/**
 * Captures the thread's output, line by line, because the descriptors of the process do not belong to the
 * thread.
 */
function captureOutput(onLines: (name: string, lines: string[]) => void): void {
  const splitters = OUTPUT_NAMES.map((name) => new LineSplitter((lines) => onLines(name, lines)));
  for (const lines of splitters) process.on("exit", () => lines.flush());
  replaceOutput((fd, chunk) => splitters[fd]?.take(Buffer.from(chunk)));
}
