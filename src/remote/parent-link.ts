import { Socket } from "node:net";
import { openInput } from "../links/descriptor.ts";
import { StreamLink } from "../links/stream-link.ts";
import { Word, Writer } from "../links/thread-state.ts";
import { TRANSPORT_IN, TRANSPORT_OUT } from "./shared-state.ts";

/** How long one wait for a lock of the main thread may last. The lock is held for one write(2). */
const LOCK_POLL_MS = 1;

/**
 * The broker thread's link to the parent. The main thread writes to the same descriptor. So this link takes
 * the lock before the first byte, and gives it back when nothing is queued. Bytes that the main thread could
 * not write come first.
 */
export class ParentLink extends StreamLink {
  readonly input: Socket;
  readonly output: Socket;
  readonly #words: Int32Array;
  #isOwner = false;
  #isClosing = false;

  constructor(words: Int32Array) {
    const input = openInput(TRANSPORT_IN);
    const output = new Socket({ fd: TRANSPORT_OUT, readable: false, writable: true });
    super("parent", input, output, 0xffffffff);
    this.input = input;
    this.output = output;
    this.#words = words;
  }

  /** Takes over the bytes that the main thread could not write, and the lock. */
  adopt(rest: Uint8Array): void {
    this.#isOwner = true;
    this.output.write(rest, () => this.releaseIfIdle());
    this.flush();
    if (this.#isClosing) super.close();
  }

  /**
   * Takes the lock, so that the main thread writes nothing itself until the queued bytes have left. If this
   * returns false, bytes of the main thread are on their way, and {@link adopt} will soon take the lock.
   */
  acquire(): boolean {
    const words = this.#words;
    while (!this.#isOwner) {
      const holder = Atomics.compareExchange(words, Word.WRITER, Writer.NOBODY, Writer.BROKER);
      if (holder === Writer.NOBODY) this.#isOwner = true;
      else if (holder === Writer.BROKER) return false;
      else Atomics.wait(words, Word.WRITER, Writer.MAIN, LOCK_POLL_MS);
    }
    return true;
  }

  /** Gives the lock back unless there is something to write. */
  releaseIfIdle(): void {
    if (!this.#isOwner || this.queuedBytes > 0) return;
    this.#isOwner = false;
    Atomics.store(this.#words, Word.WRITER, Writer.NOBODY);
  }

  override flush(): void {
    if (!this.acquire()) return;
    super.flush();
    this.releaseIfIdle();
  }

  override close(): void {
    this.#isClosing = true;
    if (this.acquire()) super.close();
  }

  protected override noteWritten(): void {
    this.releaseIfIdle();
  }
}
