import { EofError, TimeoutError } from "../../errors.ts";
import type { Failure } from "./new-connect-error.ts";

/** Failures of a connect that login scripts cause, as far as this process can tell. */

const CURE = "let it do so only in interactive logins: [ -t 0 ] && exec fish";

/** A shell that a login script has started read the guard line: docs/bootstrap.md#stage-0. */
export function otherShell(): Failure {
  const message =
    "something on the target, probably a login script, has started another shell in place of the library's command";
  return { type: EofError, code: "ERR_NO_SHELL", message, hint: CURE };
}

/**
 * The program read no line, and ended when its input did. fish and interpreters read a whole program first.
 */
export function readsAllInput(timeoutMs: number, end: string): Failure {
  const message = `connection timed out after ${timeoutMs} ms: in place of the library's command, something on the target, probably a login script, has started a program that reads all its input; once that ended, it ${end}`;
  return { type: TimeoutError, message, hint: CURE };
}

/** The marker of the shell came on stderr, among the tool's own messages. */
export function outputElsewhere(): Failure {
  const message = "the target's stdout arrives on stderr";
  return { type: EofError, message, hint: "check which login script there redirects its output (exec 1>&2)" };
}
