import { type Frame, writeFrame } from "../wire/frame.ts";
import { BATCH_BYTES, batchOf, Word } from "./thread-state.ts";

/** How long one wait for the lock may last. The lock is held while some KiB are copied. */
const LOCK_MS = 1;

/**
 * The frames that the main thread makes in one turn, so that they leave in one write. They are in shared
 * memory: if a function hangs in that turn, the broker thread takes the frames made before.
 *
 * The main thread adds frames without a lock, and only raises MADE. The thread that takes frames holds the
 * lock. The broker takes them only while POSTED is 0, because posted frames go first.
 */
export class SharedBatch {
  readonly #words: Int32Array;
  readonly #memory: Buffer;
  #made = 0;

  constructor(words: Int32Array) {
    this.#words = words;
    this.#memory = batchOf(words);
  }

  /** Main thread: adds a frame. Returns false, without any effect, if there is no room for so many bytes. */
  add(frame: Frame, bytes: number): boolean {
    if (this.#made + bytes > BATCH_BYTES) return false;
    this.#made = writeFrame(this.#memory, this.#made, frame, bytes);
    Atomics.store(this.#words, Word.MADE, this.#made);
    return true;
  }

  /**
   * Main thread: takes the frames that nobody has taken. The memory is valid until the next frame is added.
   */
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

  /**
   * Broker thread: takes a copy of the frames that the main thread has made and perhaps cannot write. Undefined
   * if the main thread is taking them, or if posted frames must go first.
   */
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

  /** Broker thread: whether there are frames that nobody has taken. */
  get isLeft(): boolean {
    return Atomics.load(this.#words, Word.MADE) > Atomics.load(this.#words, Word.TAKEN);
  }
}
