/**
 * The words that two linked threads share: 32-bit words in a SharedArrayBuffer.
 *
 * WRITER is a lock on the descriptor to the parent. The thread that holds it may write there. The broker
 * holds it while it has anything queued, so a reply that the main thread writes itself never overtakes or
 * cuts a frame of the broker's.
 */
export const Word = {
  /** Who may write to the parent: one of {@link Writer}. */
  WRITER: 0,
  /** Messages the main thread has posted and the broker has not yet queued for writing. */
  POSTED: 1,
  /** Counts the posts of the broker. A main thread that waits synchronously is notified here. */
  WAKE: 2,
  /** 1 once the broker has sent everything and the main thread may exit. */
  FLUSHED: 3,
  /** Frames that the broker has sent to the main thread and that are not delivered there yet, in KiB. */
  UNREAD: 4,
  /** 1 once the broker thread runs. */
  RUNS: 5,
  /**
   * 1 while the broker checks every few milliseconds for frames that the main thread has made and not
   * written: src/links/shared-batch.ts.
   */
  WATCH: 6,
  /** A lock for taking those frames: 1 while it is held. */
  LOCK: 7,
  /** How many bytes of frames the main thread has made, and how many of them have been taken. */
  MADE: 8,
  TAKEN: 9,
} as const;
const WORDS = 10;

/** The size of the memory for the frames of one turn of the main thread. */
export const BATCH_BYTES: number = 64 * 1024;

export function newThreadState(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * 4 + BATCH_BYTES), 0, WORDS);
}

/** The memory behind the words. */
export function batchOf(words: Int32Array): Buffer {
  return Buffer.from(words.buffer, words.byteLength);
}

/** Sets a word that another thread waits for. */
export function raise(words: Int32Array, word: number): void {
  Atomics.store(words, word, 1);
  Atomics.notify(words, word);
}

export const Writer = { NOBODY: 0, MAIN: 1, BROKER: 2 } as const;

/** What the main thread posts to the broker, including frames. */
export interface ControlMessage {
  /** The bytes that the main thread could not write. The lock comes with them. */
  readonly rest?: Uint8Array;
  /** The process is about to exit, and everything must be sent first. */
  readonly exitReason?: string;
  /** Frames to route, or a part of a large one. */
  readonly frames?: Uint8Array;
  /**
   * Whether user code wrote to stdout or stderr before these frames were made. That output must be forwarded
   * first.
   */
  readonly hasOutput?: boolean;
}
