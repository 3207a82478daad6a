import { Writable } from "node:stream";
import { Word, Writer } from "../core/thread-state.ts";

/** How long one look at a lock held by the main thread may sleep; it is held for one write(2). */
const LOCK_POLL_MS = 1;

type Done = (error?: Error | null) => void;

/**
 * The broker's end of the descriptor that both threads write to. Takes the lock before the first byte and gives it back when
 * nothing is queued. Bytes the main thread left over come first.
 */
export class SharedWritable extends Writable {
  readonly #socket: Writable;
  readonly #words: Int32Array;
  #isOwner = false;
  #isWriting = false;
  /** A write that must wait for the main thread's remainder, announced by the lock but not here yet. */
  #postponed: (() => void) | undefined;
  /** Whether more is to come, which the main thread must not overtake. */
  hasMore: () => boolean = () => false;

  constructor(socket: Writable, words: Int32Array) {
    super();
    this.#socket = socket;
    this.#words = words;
    socket.on("error", (error) => this.destroy(error));
  }

  /** Takes over what the main thread could not write, and the lock with it. */
  adopt(rest: Uint8Array): void {
    this.#isOwner = true;
    this.#isWriting = true;
    this.#socket.write(rest, () => {
      this.#isWriting = false;
      const postponed = this.#postponed;
      this.#postponed = undefined;
      if (postponed !== undefined) postponed();
      else this.releaseIfIdle();
    });
  }

  /** Makes sure that the main thread writes nothing itself until what is queued now has left. */
  acquire(): boolean {
    const words = this.#words;
    while (!this.#isOwner) {
      const holder = Atomics.compareExchange(words, Word.WRITER, Writer.NOBODY, Writer.BROKER);
      if (holder === Writer.NOBODY) this.#isOwner = true;
      else if (holder === Writer.BROKER)
        return false; // a remainder is on its way, see adopt
      else Atomics.wait(words, Word.WRITER, Writer.MAIN, LOCK_POLL_MS);
    }
    return true;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.begin([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: Done): void {
    this.begin(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Done): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#socket.destroy();
    done(error);
  }

  private begin(chunks: readonly Uint8Array[], done: Done): void {
    const write = () => {
      this.#isWriting = true;
      this.#socket.cork();
      for (const chunk of chunks.slice(0, -1)) this.#socket.write(chunk);
      this.#socket.write(chunks[chunks.length - 1], (error) => {
        this.#isWriting = false;
        done(error);
        this.releaseIfIdle();
      });
      this.#socket.uncork();
    };
    if (this.acquire() && !this.#isWriting) write();
    else this.#postponed = write;
  }

  /** Whether the operating system has all there is. */
  get isIdle(): boolean {
    return !this.#isWriting && this.#postponed === undefined && !this.hasMore();
  }

  /** Gives the lock back unless there is something to write. */
  releaseIfIdle(): void {
    if (!this.isIdle || !this.#isOwner) return;
    this.#isOwner = false;
    Atomics.store(this.#words, Word.WRITER, Writer.NOBODY);
  }
}
