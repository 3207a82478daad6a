import type { LogLevel } from "../logging/log.ts";

/** What the two threads of a child agree on beside src/links/thread-state.ts. */

/** The transport to the parent, where the shell put it: docs/bootstrap.md. */
export const TRANSPORT_IN = 3;
export const TRANSPORT_OUT = 4;
/** The read ends of this process's own stdout and stderr. */
export const STDOUT_TAP = 5;
export const STDERR_TAP = 6;

/** What the broker thread is started with. */
export interface ThreadData {
  readonly words: Int32Array;
  /** The payload's JavaScript, and the same compressed, kept to boot children of this child. */
  readonly source: string;
  readonly payload: Uint8Array;
  readonly port: unknown;
}

/** The first frame a child receives: who it is. Shapes: docs/protocol.md#configuration. */
export interface ChildConfig {
  readonly contextId: number;
  readonly parentIds: readonly number[];
  /** Shown in the process list. */
  readonly remoteName: string;
  readonly logLevel: LogLevel;
  readonly maxMessageBytes: number;
  readonly unidirectional: boolean;
  /** After how long a silent neighbour is asked for a sign of life, in milliseconds; 0 asks none. */
  readonly keepaliveMs: number;
  /** Its parent may be gone without the kernel's telling: it is asked too. */
  readonly asksParent?: boolean;
  /** It is a thread of its parent's process: no descriptors, and no process to end. */
  readonly isThread?: boolean;
}
