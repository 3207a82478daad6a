import { MitogenError } from "../errors.ts";
import { anyText } from "../options/option-types.ts";
import { isOptions, type OptionType, takeOption } from "../options/options.ts";
import { showControls } from "../text/harmless.ts";

/** How much of the output, from its end, the message shows. */
const MAX_SHOWN_LINES = 20;
const MAX_SHOWN_CHARACTERS = 2000;
/** How much of the command the message shows. `command` has all of it. */
const MAX_SHOWN_COMMAND = 200;

/** The facts of a failed command. */
export interface CommandFailure {
  /** Completes "Cannot run … in …:". */
  readonly why: string;
  /** The cure. Without it, the message ends with the last lines of output. */
  readonly cure?: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
  readonly cause?: unknown;
}

const MAKE = "make a CommandError";
const FAILURE: OptionType<CommandFailure> = {
  wanted: "an object with why, stdout and stderr",
  take(value, refuse) {
    const { why, stdout, stderr } = (isOptions(value) ? value : {}) as Partial<CommandFailure>;
    if ([why, stdout, stderr].some((each) => typeof each !== "string")) throw refuse("ERR_INVALID_ARG_TYPE");
    return value as CommandFailure;
  },
};

/**
 * A command of `run()` failed: it could not be started, it ended with another exit code than 0 or by a signal, or it printed too much.
 * The message ends with the last lines of stderr, or of stdout if there is no stderr.
 */
export class CommandError extends MitogenError {
  /** `ERR_COMMAND`. */
  override readonly code: string = "ERR_COMMAND";
  /** The first sentence of the message: what failed, and why. */
  declare readonly summary: string;
  /** The whole command, quoted for a POSIX shell. */
  declare readonly command: string;
  /** Null if a signal ended the command, or if it did not start. */
  readonly exitCode: number | null;
  /** The signal that ended the command, `SIGTERM`; null if it ended by itself or did not start. */
  readonly signal: string | null;
  /** What the command wrote to stdout, as far as it was kept. Not printed with the error, and not part of JSON. */
  declare readonly stdout: string;
  /** What the command wrote to stderr, as far as it was kept. Not printed with the error, and not part of JSON. */
  declare readonly stderr: string;
  /** Milliseconds from the start of the command to its end, by the clock of the context's machine. */
  readonly durationMs: number;

  /** @internal */
  constructor(command: string, contextName: string, failure: CommandFailure) {
    takeOption(MAKE, "the first argument, the command,", command, anyText);
    takeOption(MAKE, "the second argument, the context's name,", contextName, anyText);
    takeOption(MAKE, "the third argument", failure, FAILURE);
    const { why, cure, exitCode, signal, stdout, stderr, durationMs, cause } = failure;
    const summary = `Cannot run ${shortCommand(command)} in ${contextName}: ${why}`;
    const shown = lastLines(stderr) || lastLines(stdout);
    super(
      cure === undefined ? withOutput(summary, shown) : `${summary}; ${cure}`,
      cause === undefined ? {} : { cause },
    );
    this.exitCode = exitCode;
    this.signal = signal;
    this.durationMs = durationMs;
    const hidden = { summary, command, stdout, stderr };
    for (const [name, value] of Object.entries(hidden)) Object.defineProperty(this, name, { value });
  }
}

// A literal on the prototype, because the minifier renames classes.
Object.defineProperty(CommandError.prototype, "name", {
  value: "CommandError",
  writable: true,
  configurable: true,
});

export function shortCommand(command: string): string {
  const line = showControls(command, " ");
  return line.length > MAX_SHOWN_COMMAND ? `${line.slice(0, MAX_SHOWN_COMMAND)}…` : line;
}

/** Appends the lines to a sentence: one line on the same line, more lines below it. */
export function withOutput(sentence: string, lines: string): string {
  if (lines === "") return sentence;
  return lines.includes("\n") ? `${sentence}:\n${lines}` : `${sentence}: ${lines}`;
}

/** The end of a command's output, harmless to a terminal. */
export function lastLines(output: string): string {
  const text = output.slice(-MAX_SHOWN_CHARACTERS);
  const lines = text.trim().split(/\r?\n/).slice(-MAX_SHOWN_LINES);
  return lines.map((line) => showControls(line, " ")).join("\n");
}
