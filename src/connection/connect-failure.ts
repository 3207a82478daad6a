import type { ConnectDetails, StreamError, TimeoutError } from "../errors.ts";

/** Why a connect failed, in one sentence without a full stop, and what to try. */
export interface Failure {
  readonly type: typeof StreamError | typeof TimeoutError;
  readonly message: string;
  readonly hint: string;
  readonly cause?: unknown;
}

/** The error of a failed connect: what happened, the cure, the command and the tool's last words. */
export function connectFailure({ type, message, hint, cause }: Failure, known: ConnectDetails): Error {
  const details = { ...known, hint };
  const said = details.stderr === "" ? "" : `\n${details.stderr}`;
  const cure = hint === "" ? "" : `; ${hint}`;
  const text = `Cannot connect with ${details.method}(): ${message}${cure}; the command was: ${printCommand(details.argv)}${said}`;
  const error = new type(text, cause === undefined ? {} : { cause });
  Object.defineProperty(error, "details", { value: details, enumerable: true });
  return error;
}

/** For people to read and to paste: long arguments, which are the first stage, are cut. */
export function printCommand(argv: readonly string[]): string {
  return argv.map(quoteForLog).join(" ");
}

function quoteForLog(word: string): string {
  const line = word.replace(/\s+/g, " ");
  const shown = line.length > 120 ? `${line.slice(0, 60)}…` : line;
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replace(/'/g, `'\\''`)}'`;
}
