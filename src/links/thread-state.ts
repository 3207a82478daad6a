/**
 * What two threads that are linked share: 32-bit words in a SharedArrayBuffer.
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
  /** What the broker has for the main thread that is not delivered there yet, in KiB. */
  UNREAD: 4,
  /** 1 once the broker thread runs. */
  RUNS: 5,
  /** 1 while the broker looks every few milliseconds for what the main thread has made and not written: src/links/shared-batch.ts. */
  WATCH: 6,
  /** A lock on the taking of that: 1 while it is held. */
  LOCK: 7,
  /** Bytes made, and bytes of them that the broker has taken. */
  MADE: 8,
  TAKEN: 9,
} as const;
const WORDS = 10;

/** Frames of one turn of the main thread. */
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

/** What the main thread posts to the broker beside frames. */
export interface ControlMessage {
  /** Bytes the main thread could not write whole; the lock comes with them. */
  readonly rest?: Uint8Array;
  /** The process is about to exit; everything must be sent. */
  readonly exitReason?: string;
  /** Frames to route, or a part of a large one. */
  readonly frames?: Uint8Array;
  /** User code wrote to stdout or stderr before these frames were made: forward that first. */
  readonly hasOutput?: boolean;
}
