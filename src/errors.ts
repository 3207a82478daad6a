/**
 * Every error a caller can catch. Match on `code`; `instanceof` is a convenience.
 *
 * Misuse by the caller is a plain TypeError or RangeError. A cancelled wait rejects with the AbortSignal's
 * own reason. Neither is listed here. docs/errors.md lists the codes.
 */

/** The facts of a failed connect. Every field is best effort and free of secrets. */
export interface ConnectDetails {
  /** How far the connect came. */
  stage: ConnectStage;
  /** The connection method, `"ssh"`. */
  method: string;
  /** The command that was started, with secrets masked. Not printed with the error, and not part of JSON. */
  argv: readonly string[];
  /** The same as one line for a POSIX shell, uncut. Not printed with the error either. */
  command: string;
  /** The exit code of the tool that was started; null if a signal ended it, if it still ran, or if it did not start. */
  exitCode: number | null;
  /** The signal that ended that tool, `SIGTERM`; null if none did. */
  signal: string | null;
  /** The last lines of output, oldest first. */
  stderr: string;
  /** Milliseconds from the start of the connect to its failure. */
  durationMs: number;
  /** What to try, or an empty string. */
  hint: string;
  /** The target's platform, in Node's words, if it is known: `linux`. */
  platform?: string;
  /** The target's architecture: `x64`, `arm64`. */
  arch?: string;
}

/** The reasons for a failed connect that have no class of their own: `code` of a {@link StreamError}. */
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
 * What a connect waited for:
 *
 * - `spawn`: the tool to start.
 * - `transport`: the tool to reach the target, and its questions to be answered.
 * - `shell`: after a login, a shell that runs our command. Only ssh: with other tools it cannot be
 *   distinguished from `transport`.
 * - `provision`: a target without node to be given one.
 * - `node`: node to be found and to evaluate the payload.
 * - `ready`: the greeting to be accepted.
 */
export type ConnectStage = "spawn" | "transport" | "shell" | "provision" | "node" | "ready";

/** The base of all errors of this library. */
export class MitogenError extends Error {
  /** What to match on; docs/errors.md lists the codes. */
  readonly code: string = "ERR_MITOGEN";

  constructor(message: string, options?: { cause?: unknown }) {
    super(message);
    // Not passed to super(), because Node before 16.9 does not know `cause`.
    if (options !== undefined && "cause" in options) {
      Object.defineProperty(this, "cause", { value: options.cause, writable: true, configurable: true });
    }
  }
}

/**
 * A remote function threw, or could not be run. `message` is the remote error's name and message. `cause` is the
 * remote error, rebuilt. The remote error's own plain properties (`errno`, `syscall`, …) are copied, `code` included.
 */
export class CallError extends MitogenError {
  /** `ERR_CALL`, or the code of the remote error. */
  override readonly code: string = "ERR_CALL";
}

/** The other context, or the way to it, is gone: a dead message, a refused message, or a closed receiver. */
export class ChannelError extends MitogenError {
  /** `ERR_CHANNEL`. */
  override readonly code: string = "ERR_CHANNEL";
}

/** A peer broke the rules of docs/protocol.md. The link to it is closed. */
export class ProtocolError extends MitogenError {
  /** `ERR_PROTOCOL`. */
  override readonly code: string = "ERR_PROTOCOL";
}

/** A time limit of the caller passed. After a connect, the error has the details of a {@link StreamError}. */
export class TimeoutError extends MitogenError {
  /** `ERR_TIMEOUT`. */
  override readonly code: string = "ERR_TIMEOUT";
  /** Of a connect: how far it came, and what the tool said. */
  declare readonly details?: ConnectDetails;
  /** For a connect: the first sentence of the message. */
  declare readonly summary?: string;
}

/** A context could not be started, or a link broke while starting it. Its `code` may be a {@link ConnectCode}. */
export class StreamError extends MitogenError {
  /** `ERR_STREAM`, or a {@link ConnectCode}. */
  override readonly code: string = "ERR_STREAM";
  /** How far the connect came, and what the tool said. Absent for an error that is not about a connect. */
  declare readonly details?: ConnectDetails;
  /**
   * For a connect: one sentence with the failure, the reason and the cure. The message continues with the
   * tool's output.
   */
  declare readonly summary?: string;
}

/** The process ended, or closed its output, before the context was ready. */
export class EofError extends StreamError {
  /** `ERR_EOF`. */
  override readonly code: string = "ERR_EOF";
}

/** The connect was cancelled: its `signal` aborted, or its router or broker was shut down. */
export class CancelledError extends StreamError {
  /** `ERR_CANCELLED`. */
  override readonly code: string = "ERR_CANCELLED";
}

/** A password was required and not given, or the given one was not accepted. */
export class PasswordError extends StreamError {
  /** `ERR_PASSWORD`. */
  override readonly code: string = "ERR_PASSWORD";
}

/** The target's host key is unknown or has changed. */
export class HostKeyError extends StreamError {
  /** `ERR_HOST_KEY`. */
  override readonly code: string = "ERR_HOST_KEY";
}

/** Misuse of a Select: it has no sources, it is closed, or the source cannot be added or removed. */
export class SelectError extends MitogenError {
  /** `ERR_SELECT`. */
  override readonly code: string = "ERR_SELECT";
}

/** All error classes, by name. */
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

// Literals on the prototypes: they are no own properties, and the minifier renames classes.
for (const [name, type] of Object.entries(ERRORS)) {
  Object.defineProperty(type.prototype, "name", { value: name, writable: true, configurable: true });
}
