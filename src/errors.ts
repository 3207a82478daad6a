/**
 * Every error a caller can catch. Match on `code`; `instanceof` is a convenience.
 *
 * Misuse by the caller is a plain TypeError or RangeError, a cancelled wait rejects with the
 * AbortSignal's own reason; neither is listed here. The list of codes is docs/errors.md.
 */

/** What is known about a connect that failed; every field is best effort and free of secrets. */
export interface ConnectDetails {
  /** How far it came. */
  stage: ConnectStage;
  /** The connection method, `"ssh"`. */
  method: string;
  /** What was started, secrets masked. Does not print by itself, and is not part of JSON. */
  argv: readonly string[];
  /** The same as one line for a POSIX shell, whole. Does not print by itself either. */
  command: string;
  exitCode: number | null;
  signal: string | null;
  /** The last lines of diagnostics that came back, oldest first. */
  stderr: string;
  durationMs: number;
  /** What to try, or an empty string. */
  hint: string;
  /** The target's, in Node's words, if it has said: `linux`. */
  platform?: string;
  /** `x64`, `arm64`. */
  arch?: string;
}

/** What a connect may fail of, beside what the classes stand for: `code` of a {@link StreamError}. */
export type ConnectCode =
  | "ERR_NO_NODE"
  | "ERR_NODE_VERSION"
  | "ERR_REFUSED"
  | "ERR_UNREACHABLE"
  | "ERR_UNKNOWN_HOST"
  | "ERR_UNKNOWN_USER"
  | "ERR_UNKNOWN_CONTAINER"
  | "ERR_TOO_MANY_SESSIONS"
  | "ERR_NO_SHELL"
  | "ERR_COMMAND_FORCED"
  | "ERR_POLICY"
  | "ERR_NO_RUNTIME"
  | "ERR_NO_SPACE"
  | "ERR_PROVISION";

/**
 * What a connect was waiting for: `spawn`, the tool to start; `transport`, the tool to get there and its questions to be answered; `shell`, after a
 * login, a shell that runs our command (ssh only: other tools do not tell the two apart); `provision`, a target without node to be given one; `node`, node to be found and to evaluate the payload;
 * `ready`, the greeting to be accepted.
 */
export type ConnectStage = "spawn" | "transport" | "shell" | "provision" | "node" | "ready";

/** The base of all errors of this library. */
export class MitogenError extends Error {
  readonly code: string = "ERR_MITOGEN";

  constructor(message: string, options?: { cause?: unknown }) {
    super(message);
    // Not through super(): Node before 16.9 does not know `cause`.
    if (options !== undefined && "cause" in options) {
      Object.defineProperty(this, "cause", { value: options.cause, writable: true, configurable: true });
    }
  }
}

/**
 * A remote function threw. `message` is the remote error's name and message; its own plain properties
 * (`errno`, `syscall`, …) are copied, `code` included, and `cause` is the remote error rebuilt.
 */
export class CallError extends MitogenError {
  override readonly code: string = "ERR_CALL";
}

/** The far end, or the way to it, is gone: dead message, refused message, closed receiver. */
export class ChannelError extends MitogenError {
  override readonly code: string = "ERR_CHANNEL";
}

/** A peer broke the rules of docs/protocol.md; the link it came over is closed. */
export class ProtocolError extends MitogenError {
  override readonly code: string = "ERR_PROTOCOL";
}

/** The caller's time ran out. On a connect it carries the details of {@link StreamError}. */
export class TimeoutError extends MitogenError {
  override readonly code: string = "ERR_TIMEOUT";
  declare readonly details?: ConnectDetails;
  /** Of a connect: the first sentence of the message. */
  declare readonly summary?: string;
}

/** A context could not be started, or a link broke while starting it. Its `code` may be a {@link ConnectCode}. */
export class StreamError extends MitogenError {
  override readonly code: string = "ERR_STREAM";
  declare readonly details?: ConnectDetails;
  /** Of a connect: one sentence, what failed, because of what, and what to do. The message goes on with what the tool said. */
  declare readonly summary?: string;
}

/** The process ended, or closed its output, before the context was ready. */
export class EofError extends StreamError {
  override readonly code: string = "ERR_EOF";
}

/** The connect was given up because its router or broker was shut down. */
export class CancelledError extends StreamError {
  override readonly code: string = "ERR_CANCELLED";
}

/** A password was required and none given, or the one given was not accepted. */
export class PasswordError extends StreamError {
  override readonly code: string = "ERR_PASSWORD";
}

/** The target's host key is unknown or has changed. */
export class HostKeyError extends StreamError {
  override readonly code: string = "ERR_HOST_KEY";
}

/** Misuse of a Select: empty, closed, or a source it does not hold. */
export class SelectError extends MitogenError {
  override readonly code: string = "ERR_SELECT";
}

/** All of them, by their names. */
export const ERRORS: Readonly<Record<string, new (...args: never[]) => MitogenError>> = {
  MitogenError,
  CallError,
  ChannelError,
  ProtocolError,
  TimeoutError,
  StreamError,
  EofError,
  CancelledError,
  PasswordError,
  HostKeyError,
  SelectError,
};

// Literals on the prototypes: not own properties, and they survive the minifier's renaming of classes.
for (const [name, type] of Object.entries(ERRORS)) {
  Object.defineProperty(type.prototype, "name", { value: name, writable: true, configurable: true });
}
