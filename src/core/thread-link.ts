import type { MessagePort } from "node:worker_threads";
import { bodyLength, encodeFrame, type Frame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import type { Link, LinkEvents } from "./link.ts";
import { Message } from "./message.ts";
import { MOVE_BYTES } from "./release.ts";
import { Word } from "./thread-state.ts";

/** So much may be unread, in the unit of {@link costOf}, before `send` answers false. */
export const HIGH_WATER = 1024;

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
    const unread = Atomics.add(this.#words, Word.UNREAD, costOf(frame));
    for (const piece of ownPieces(frame)) this.#queue.push(piece);
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      process.nextTick(() => this.flush());
    }
    return unread < HIGH_WATER;
  }

  get queuedBytes(): number {
    return Atomics.load(this.#words, Word.UNREAD) * 1024;
  }

  /** The other thread has posted something: that less is unread, or anything else. */
  noteRead(): void {
    if (Atomics.load(this.#words, Word.UNREAD) < HIGH_WATER) this.#events?.onDrained?.();
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
    hand(queue, (bytes, moved) => this.#port.postMessage(bytes, moved));
    Atomics.add(this.#words, Word.WAKE, 1);
    Atomics.notify(this.#words, Word.WAKE);
  }
}

/** What a frame counts for while it is unread, in KiB: one of the smallest takes nearly as much. */
export function costOf(frame: Frame): number {
  return 1 + (bodyLength(frame) >> 10);
}

/** The encoded frame in memory that may be given away. A {@link Message} is somebody's, who may use it again: it is copied. */
export function ownPieces(frame: Frame): Uint8Array[] {
  const pieces = encodeFrame(frame);
  return frame instanceof Message ? [ownBytes(pieces)] : pieces;
}

/**
 * Posts pieces to another thread, in order. What is large moves there: a copy would double it, and what is copied from stays until
 * V8 collects it, which it does late.
 */
export function hand(
  pieces: readonly Uint8Array[],
  post: (bytes: Uint8Array, moved: ArrayBuffer[]) => void,
): void {
  let small: Uint8Array[] = [];
  const flush = (): void => {
    if (small.length > 0) move(ownBytes(small));
    small = [];
  };
  const move = (bytes: Uint8Array): void => {
    post(bytes, bytes.length < MOVE_BYTES ? [] : [bytes.buffer as ArrayBuffer]);
  };
  for (const piece of pieces) {
    // A view would take its neighbours with it.
    if (piece.length < MOVE_BYTES || piece.length < piece.buffer.byteLength) small.push(piece);
    else {
      flush();
      move(piece);
    }
  }
  flush();
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
