import { oneLine } from "../text/harmless.ts";
import { addLogSink, LogLevel, type LogRecord } from "./log.ts";

const MAX_SHOWN = 200;

let stop: (() => void) | undefined;
let isDone = false;

/**
 * Makes the program print a hint on stderr, once, when it drops output of a context or a logged error. Prints none
 * after {@link endHints}, and none with `MITOGEN_HINTS=off`.
 */
export function hintAtDropped(): void {
  if (isDone || stop !== undefined || process.env["MITOGEN_HINTS"] === "off") return;
  stop = addLogSink((record) => {
    const what = dropped(record);
    if (what === undefined) return;
    endHints();
    process.stderr.write(
      `mitogen: ${what}, because nothing listens: call logToFile() or onLog(); MITOGEN_HINTS=off hides this hint\n`,
    );
  }, LogLevel.info);
}

/** Call this when the program listens to log records, or has printed the hint. */
export function endHints(): void {
  isDone = true;
  stop?.();
  stop = undefined;
}

function dropped({ level, message, mitogenContext, mitogenName, logger }: LogRecord): string | undefined {
  const isOutput = mitogenContext !== undefined && (mitogenName === "stdout" || mitogenName === "stderr");
  if (isOutput) return `output of ${oneLine(logger.replace("mitogen.ctx.", ""))} was dropped`;
  // Failed calls of callNoReply(), in any context, are such errors.
  return level === "error"
    ? `an error was not shown (${oneLine(message.split("\n", 1)[0]?.slice(0, MAX_SHOWN) ?? "").slice(0, MAX_SHOWN)})`
    : undefined;
}
