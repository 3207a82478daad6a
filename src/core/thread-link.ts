import type { MessagePort } from "node:worker_threads";
import { encodeFrame, type Frame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import type { Link, LinkEvents } from "./link.ts";
import { Word } from "./thread-state.ts";

/** A piece this large is handed over instead of copied. */
const TRANSFER_BYTES = 64 * 1024;

/**
 * The broker thread's link to the main thread of its own process. Frames that arrive together are posted together.
 */
export class ThreadLink implements Link {
  readonly name: string;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  readonly #decoder: FrameDecoder = new FrameDecoder(0xffffffff);
  #events: LinkEvents | undefined;
  #queue: Uint8Array[] = [];
  #isFlushScheduled = false;
  #isClosed = false;

  constructor(port: MessagePort, words: Int32Array, name = "main thread") {
    this.name = name;
    this.#port = port;
    this.#words = words;
  }

  open(events: LinkEvents): void {
    this.#events = events;
  }

  /** Routes the whole frames of one posted message. */
  receive(bytes: Uint8Array): void {
    this.#decoder.push(asBuffer(bytes), (frame) => this.#events?.onFrame(frame));
  }

  send(frame: Frame): boolean {
    if (this.#isClosed) return true;
    for (const piece of encodeFrame(frame)) this.#queue.push(piece);
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      process.nextTick(() => this.flush());
    }
    return true;
  }

  close(): void {
    this.#isClosed = true;
  }

  abort(): void {
    this.#isClosed = true;
  }

  private flush(): void {
    this.#isFlushScheduled = false;
    const queue = this.#queue;
    this.#queue = [];
    let small: Uint8Array[] = [];
    for (const piece of queue) {
      // A whole buffer of its own moves to the other thread; a view would take its neighbours with it.
      if (piece.length >= TRANSFER_BYTES && piece.byteLength === piece.buffer.byteLength) {
        this.post(small);
        small = [];
        this.#port.postMessage(piece, [piece.buffer as ArrayBuffer]);
      } else small.push(piece);
    }
    this.post(small);
    Atomics.add(this.#words, Word.WAKE, 1);
    Atomics.notify(this.#words, Word.WAKE);
  }

  private post(pieces: readonly Uint8Array[]): void {
    if (pieces.length > 0) this.#port.postMessage(ownBytes(pieces));
  }
}

/** A view the other side can read without copying. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The pieces in a buffer of their own: posting a view of a pool would copy the whole pool. */
export function ownBytes(pieces: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const piece of pieces) total += piece.length;
  const bytes = new Uint8Array(total);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}
