import { type Frame, writeFrame } from "../wire/frame.ts";
import { BATCH_BYTES, batchOf, Word } from "./thread-state.ts";

/** How long one look at the lock may sleep; it is held for a copy of some KiB. */
const LOCK_MS = 1;

/**
 * Frames that the main thread makes in one turn, so that they leave in one write. They lie in shared memory: if a function hangs in that
 * turn, the broker thread takes what was made before.
 *
 * The main thread adds without a lock, and only raises MADE. Who takes holds the lock. The broker takes only while POSTED is 0, for what
 * was posted goes first.
 */
export class SharedBatch {
  readonly #words: Int32Array;
  readonly #memory: Buffer;
  #made = 0;

  constructor(words: Int32Array) {
    this.#words = words;
    this.#memory = batchOf(words);
  }

  /** Main thread. False, and nothing has happened, if there is no room for so many bytes. */
  add(frame: Frame, bytes: number): boolean {
    if (this.#made + bytes > BATCH_BYTES) return false;
    this.#made = writeFrame(this.#memory, this.#made, frame, bytes);
    Atomics.store(this.#words, Word.MADE, this.#made);
    return true;
  }

  /** Main thread: what nobody has taken; it is there until the next is added. */
  take(): Buffer {
    const words = this.#words;
    while (Atomics.compareExchange(words, Word.LOCK, 0, 1) !== 0) Atomics.wait(words, Word.LOCK, 1, LOCK_MS);
    const bytes = this.#memory.subarray(Atomics.load(words, Word.TAKEN), this.#made);
    this.#made = 0;
    Atomics.store(words, Word.MADE, 0);
    Atomics.store(words, Word.TAKEN, 0);
    Atomics.store(words, Word.LOCK, 0);
    return bytes;
  }

  /** Broker thread: a copy of what the main thread has made and may not come to write; undefined if this is not the moment. */
  rescue(): Uint8Array | undefined {
    const words = this.#words;
    if (Atomics.compareExchange(words, Word.LOCK, 0, 1) !== 0) return undefined;
    let bytes: Uint8Array | undefined;
    if (Atomics.load(words, Word.POSTED) === 0) {
      const made = Atomics.load(words, Word.MADE);
      bytes = Uint8Array.from(this.#memory.subarray(Atomics.exchange(words, Word.TAKEN, made), made));
    }
    Atomics.store(words, Word.LOCK, 0);
    return bytes;
  }

  /** Broker thread: whether there is something that nobody has taken. */
  get isLeft(): boolean {
    return Atomics.load(this.#words, Word.MADE) > Atomics.load(this.#words, Word.TAKEN);
  }
}
