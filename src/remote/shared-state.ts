/**
 * What the two threads of a child share: 32-bit words in a SharedArrayBuffer.
 *
 * WRITER is a lock on the descriptor to the parent. Whoever holds it may write there; the broker holds it as long as it has
 * anything queued, so a reply that the main thread writes itself never overtakes or cuts a frame of the broker's.
 */
export const Word = {
  /** Who may write to the parent: one of {@link Writer}. */
  WRITER: 0,
  /** Messages the main thread has posted and the broker has not yet queued for writing. */
  POSTED: 1,
  /** Counts what the broker posts; a main thread that waits synchronously is notified here. */
  WAKE: 2,
  /** 1 once the broker has sent everything and the main thread may exit. */
  FLUSHED: 3,
} as const;
export const WORDS = 4;

export const Writer = { NOBODY: 0, MAIN: 1, BROKER: 2 } as const;

/** The transport to the parent, where the shell put it: docs/bootstrap.md. */
export const TRANSPORT_IN = 3;
export const TRANSPORT_OUT = 4;
/** The read ends of this process's own stdout and stderr. */
export const STDOUT_TAP = 5;
export const STDERR_TAP = 6;

/** What the main thread posts to the broker beside frames. */
export interface ControlMessage {
  /** Bytes the main thread could not write whole; the lock comes with them. */
  readonly rest?: Uint8Array;
  /** The process is about to exit; everything must be sent. */
  readonly exitReason?: string;
  /** Whole frames to route. */
  readonly frames?: Uint8Array;
  /** User code wrote to stdout or stderr before these frames were made: forward that first. */
  readonly hasOutput?: boolean;
}

/** What the broker thread is started with. */
export interface ThreadData {
  readonly words: Int32Array;
  /** The compressed payload, kept to boot children of this child. */
  readonly payload: Uint8Array;
  readonly port: unknown;
}

/** The first frame a child receives: who it is. Shapes: docs/protocol.md#configuration. */
export interface ChildConfig {
  readonly contextId: number;
  readonly parentIds: readonly number[];
  /** The context's name, as its records will be attributed. */
  readonly name: string;
  /** Shown in the process list. */
  readonly remoteName: string;
  readonly logLevel: number;
  readonly maxMessageBytes: number;
  readonly unidirectional: boolean;
}
