import type { LogLevel } from "../logging/log.ts";

/** What the two threads of a child share, besides src/links/thread-state.ts. */

/** The transport to the parent, on the descriptors that the shell chose: docs/bootstrap.md. */
export const TRANSPORT_IN = 3;
export const TRANSPORT_OUT = 4;
/** The read ends of this process's own stdout and stderr. */
export const STDOUT_TAP = 5;
export const STDERR_TAP = 6;

/** What the broker thread is started with. */
export interface ThreadData {
  readonly words: Int32Array;
  /** The beginning of every marker of this connection. */
  readonly nonce: string;
  /** The payload's JavaScript, and the compressed payload, which is kept to start children of this child. */
  readonly source: string;
  readonly payload: Uint8Array;
  readonly port: unknown;
}

/** The first frame that a child receives: its configuration. Shape: docs/protocol.md#configuration. */
export interface ChildConfig {
  readonly contextId: number;
  readonly parentIds: readonly number[];
  /** The name in the process list. */
  readonly remoteName: string;
  readonly logLevel: LogLevel;
  readonly maxMessageBytes: number;
  readonly unidirectional: boolean;
  /** After how long a silent neighbour is asked for a sign of life, in milliseconds; 0 never asks. */
  readonly keepaliveMs: number;
  /** Whether the child also asks its parent, because the kernel may not report the parent's end. */
  readonly asksParent?: boolean;
  /**
   * Whether the context is a thread of its parent's process: it has no descriptors, and no process to end.
   */
  readonly isThread?: boolean;
}
