import type { ConnectCode, HostKeyError, PasswordError, StreamError } from "../../errors.ts";
import type { Secret } from "../../wire/values/secret.ts";

/** A password, or what gives it. A function is called when the tool asks, at most once in a connect. */
export type Password = string | Secret | (() => string | Secret | Promise<string | Secret>);

/** What went wrong, read from the tool's own words. */
export interface Verdict {
  /** The class of the error to throw. */
  readonly type: typeof StreamError | typeof PasswordError | typeof HostKeyError;
  /** The error's `code`, in place of that of its class. */
  readonly code?: ConnectCode | undefined;
  /** What happened, without a full stop. */
  readonly message: string;
  /** What to do, or an empty string. */
  readonly hint: string;
}

/**
 * The questions of one tool. Questions are recognised in unterminated text, verdicts in complete lines; the text is what the tool has
 * written to its terminal, its stderr or its stdout before the target's shell answered.
 */
export interface Dialogue {
  /**
   * `never`: answers go where the payload goes. `always`: the tool asks only on its controlling terminal. `preferred`: the same,
   * but it may do without. `onDemand`: `never` at first, once more with a terminal if the tool asks for one.
   */
  readonly terminal: "never" | "onDemand" | "preferred" | "always";
  /** Whether the payload has to wait for the target's shell, because the tool could take it for an answer. */
  readonly payloadWaits: boolean;
  /** What the password would be good for: `to log in to web1`. */
  readonly purpose: string;
  /** Whether this, the text since the last line end, asks for the password. */
  isPasswordPrompt(text: string): boolean;
  /** What to answer to another question: text without a line end, or why there is no answer. */
  answer?(text: string): string | Verdict | undefined;
  /** Whether this line says that the password just typed is wrong. */
  isRefusal?(line: string): boolean;
  /** Whether this line says that the tool does not work without a terminal. */
  isTerminalDemand?(line: string): boolean;
}
