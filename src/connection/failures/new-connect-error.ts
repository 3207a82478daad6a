import type { ConnectCode, ConnectDetails, StreamError, TimeoutError } from "../../errors.ts";
import { quoteForSh } from "../../text/shell-quote.ts";
import { describeFailure } from "./connect-error-record.ts";
import { lastWords, readableWords } from "./last-words.ts";

/** Why a connect failed, in one sentence without a full stop, and how to fix it. */
export interface Failure {
  readonly type: typeof StreamError | typeof TimeoutError;
  /** Replaces the code of the class. */
  readonly code?: ConnectCode | undefined;
  readonly message: string;
  readonly hint: string;
  readonly cause?: unknown;
}

/**
 * Makes the error of a failed connect: one sentence with the reason and the cure, then the last output of the
 * tool.
 */
export function newConnectError(
  { type, code, message, hint, cause }: Failure,
  known: Omit<ConnectDetails, "command">,
): Error {
  const cure = hint === "" ? "" : `; ${hint}`;
  const summary = `Cannot connect with ${known.method}(): ${message}${cure}`;
  const stderr = readableWords(known.stderr);
  const said = lastWords(stderr);
  const error = new type(said === "" ? summary : `${summary}\n${said}`, cause === undefined ? {} : { cause });
  return describeFailure(error, { code, summary, details: { ...known, stderr, hint } });
}

/** Prints a command for a log. Long arguments are cut, because they are the first stage. */
export function printCommand(argv: readonly string[]): string {
  return argv.map(quoteForLog).join(" ");
}

function quoteForLog(word: string): string {
  const line = word.replace(/\s+/g, " ");
  return quoteForSh(line.length > 120 ? `${line.slice(0, 60)}…` : line);
}
