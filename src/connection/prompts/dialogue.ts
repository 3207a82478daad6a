import type { ConnectCode, HostKeyError, PasswordError, StreamError } from "../../errors.ts";
import type { Secret } from "../../wire/values/secret.ts";

/**
 * A password, or a function that returns it. The function is called when the tool asks, at most once in a
 * connect.
 */
export type Password = string | Secret | (() => string | Secret | Promise<string | Secret>);

/** What the program has given to answer questions with. */
export interface Passwords {
  readonly password?: Password | undefined;
  /** Answers to other questions, by the ends of the questions. */
  readonly answers?: Readonly<Record<string, Password>> | undefined;
}

/** What went wrong, according to the tool's own messages. */
export interface Verdict {
  /** The class of the error to throw. */
  readonly type: typeof StreamError | typeof PasswordError | typeof HostKeyError;
  /** The error's `code`, which replaces the code of its class. */
  readonly code?: ConnectCode | undefined;
  /** What happened, without a full stop. */
  readonly message: string;
  /** What to do, or an empty string. */
  readonly hint: string;
}

/**
 * The questions of a tool. Questions are recognised in unterminated text, verdicts in complete lines. The
 * text is everything that the tool has written to its terminal, its stderr or its stdout before the target's
 * shell answered.
 */
export interface Dialogue {
  /**
   * Whether the tool needs a controlling terminal:
   *
   * - `never`: answers go to its stdin, as the payload does.
   * - `always`: the tool asks only on its controlling terminal.
   * - `preferred`: the same, but the tool may work without one.
   * - `onDemand`: first as `never`, then again with a terminal if the tool demands one.
   */
  readonly terminal: "never" | "onDemand" | "preferred" | "always";
  /**
   * Whether the payload has to wait for the target's shell, because the tool could take the payload for an answer.
   */
  readonly payloadWaits: boolean;
  /** What the password is for: `to log in to web1`. */
  readonly purpose: string;
  /** Whether `text`, which is the output since the last line end, asks for the password. */
  isPasswordPrompt(text: string): boolean;
  /** The answer to another question, without a line end, or the reason why there is no answer. */
  answer?(text: string): string | Verdict | undefined;
  /** Whether the line says that the password just typed is wrong. */
  isRefusal?(line: string): boolean;
  /** A prompt that this library gives the tool. Nobody else needs to see it. @internal */
  readonly ownPrompt?: string;
  /** The hint if the tool repeats its question and has not said that the answer was wrong. @internal */
  readonly askedAgain?: string;
  /** Whether the line says that the tool does not work without a terminal. */
  isTerminalDemand?(line: string): boolean;
}
