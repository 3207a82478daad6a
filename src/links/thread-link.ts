import type { MessagePort } from "node:worker_threads";
import { bodyLength, encodeFrame, type Frame, frameLength, HEADER_BYTES, writeFrame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { MOVE_BYTES } from "./free-memory.ts";
import type { Link, LinkEvents } from "./link.ts";
import { SharedBatch } from "./shared-batch.ts";
import { Word } from "./thread-state.ts";

/** How much may be unread, in the unit of {@link costOf}, before `send` returns false. */
export const HIGH_WATER = 1024;

/** Memory for small frames that are posted together. */
const BATCH_BYTES = 64 * 1024;
/** How long frames that the main thread has made may wait there if that thread hangs. */
const LOOK_MS = 5;

/**
 * The broker thread's link to the main thread of its own process. Frames that arrive together are posted together.
 */
export class ThreadLink implements Link {
  readonly name: string;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  readonly #decoder: FrameDecoder = new FrameDecoder(0xffffffff);
  readonly answers: SharedBatch;
  /** Called repeatedly while the main thread has made frames and not had the time to send them. */
  onLeft!: () => void;
  #events: LinkEvents | undefined;
  /** Small frames for the next post. */
  readonly #batch: Uint8Array = new Uint8Array(BATCH_BYTES);
  #batchEnd = 0;
  #watch: NodeJS.Timeout | undefined;
  #isFlushScheduled = false;
  #isClosed = false;

  constructor(port: MessagePort, words: Int32Array, name = "main thread") {
    this.name = name;
    this.#port = port;
    this.#words = words;
    this.answers = new SharedBatch(words);
  }

  open(events: LinkEvents): void {
    this.#events = events;
  }

  /** Takes what the main thread has posted, and delivers the frames that are complete. */
  receive(bytes: Uint8Array): void {
    this.#decoder.push(asBuffer(bytes), (frame) => this.#events?.onFrame(frame));
  }

  send(frame: Frame): boolean {
    if (this.#isClosed) return true;
    const unread = Atomics.add(this.#words, Word.UNREAD, costOf(bodyLength(frame)));
    const bytes = frameLength(frame);
    if (bytes < MOVE_BYTES) this.#batchEnd = writeFrame(this.#batch, this.roomFor(bytes), frame, bytes);
    else {
      this.postBatch();
      hand(ownPieces(frame), (posted, moved) => this.#port.postMessage(posted, moved));
      this.scheduleWake();
    }
    return unread < HIGH_WATER;
  }

  sendBytes(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length >= MOVE_BYTES || Atomics.load(this.#words, Word.UNREAD) >= HIGH_WATER) return false;
    if (this.#isClosed) return true;
    Atomics.add(this.#words, Word.UNREAD, costOf(length - HEADER_BYTES));
    const at = this.roomFor(length);
    this.#batchEnd = at + bytes.copy(this.#batch, at, start, end);
    return true;
  }

  /** Makes room for so many bytes, which are posted at the end of this turn. Returns where they begin. */
  private roomFor(bytes: number): number {
    if (this.#batchEnd + bytes > BATCH_BYTES) this.postBatch();
    this.scheduleWake();
    return this.#batchEnd;
  }

  private scheduleWake(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    process.nextTick(() => this.wakeReader());
  }

  get queuedBytes(): number {
    return Atomics.load(this.#words, Word.UNREAD) * 1024;
  }

  /**
   * Call this when the main thread has posted anything: it may have read frames, or may want the broker to watch
   * the frames that it makes.
   */
  noteRead(): void {
    if (Atomics.load(this.#words, Word.WATCH) !== 0)
      this.#watch ??= setInterval(() => this.lookAfter(), LOOK_MS).unref();
    if (Atomics.load(this.#words, Word.UNREAD) < HIGH_WATER) this.#events?.onDrained?.();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#watch);
  }

  abort(): void {
    this.close();
  }

  private wakeReader(): void {
    this.#isFlushScheduled = false;
    this.postBatch();
    Atomics.add(this.#words, Word.WAKE, 1);
    Atomics.notify(this.#words, Word.WAKE);
  }

  private postBatch(): void {
    if (this.#batchEnd === 0) return;
    const bytes = this.#batch.slice(0, this.#batchEnd);
    this.#batchEnd = 0;
    this.#port.postMessage(bytes, bytes.length < MOVE_BYTES ? [] : [bytes.buffer]);
  }

  private lookAfter(): void {
    const words = this.#words;
    // The main thread checks this flag after it has added a frame, so one of the two threads notices the
    // frame.
    Atomics.store(words, Word.WATCH, 0);
    if (!this.answers.isLeft) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      return;
    }
    Atomics.store(words, Word.WATCH, 1);
    this.onLeft();
  }
}

/** The cost of an unread frame with such a body, in KiB. Even the smallest frame takes nearly one. */
export function costOf(bodyBytes: number): number {
  return 1 + (bodyBytes >> 10);
}

/** Encodes a frame into memory that may be given away. */
export function ownPieces(frame: Frame): Uint8Array[] {
  const pieces = encodeFrame(frame);
  return frame.isKept ? [ownBytes(pieces)] : pieces;
}

/**
 * Posts pieces to another thread, in order. Large pieces are moved: a copy would double the memory, and V8
 * collects the original late.
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
    // Moving a view would also move the memory around it.
    if (piece.length < MOVE_BYTES || piece.length < piece.buffer.byteLength) small.push(piece);
    else {
      flush();
      move(piece);
    }
  }
  flush();
}

/** A view that can be read as a Buffer without copying. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Copies the pieces into a buffer of their own. Posting a view of a pool would copy the whole pool. */
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
