import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { ProtocolError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { isCreditHandle } from "../wire/credit-handles.ts";
import { Encoding, encodeFrame, type Frame, frameLength, readUint32, writeFrame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { stackOf } from "../wire/values/thrown.ts";
import { isLender, writeNow } from "./descriptor.ts";
import { freeMemory } from "./free-memory.ts";
import { Assembler, Lanes } from "./lanes.ts";
import type { Link, LinkEvents } from "./link.ts";

/** If more bytes than this are queued, `send` returns false. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** This much queued bulk is written at once. */
const FLUSH_BYTES = 64 * 1024;
/** Frames up to this size are written to the same memory, one after the other. */
const SMALL_BYTES = 4 * 1024;
/** The size of that memory, which each link has. With more, a frame's share of a write would hardly be smaller. */
const BATCH_BYTES = 16 * 1024;

/** This much bulk is given to the operating system at once. Frames that may overtake bulk wait only for this much. */
const BULK_WATER_BYTES = 128 * 1024;

/** How long a peer that no longer reads may continue to write. */
const UNREAD_GRACE_MS = 1000;

const log = getLogger("mitogen.link");

/** A link over a pair of byte streams, which it owns: closing the link destroys them. */
export class StreamLink implements Link {
  readonly name: string;
  /** Bytes that bypassed the stream, which does not count them. */
  protected directBytes = 0;
  readonly #readable: Readable;
  readonly #writable: Writable;
  /** Whether nobody else uses the bytes that `#writable` has written. Other kinds of streams may pass them on. */
  readonly #isLastOwner: boolean;
  /** Whether the chunks are lent: see openInput. */
  readonly #isLent: boolean;
  readonly #decoder: FrameDecoder;
  readonly #lanes: Lanes = new Lanes();
  readonly #assembler: Assembler;
  #events: LinkEvents | undefined;
  /**
   * The bytes of the next flush: pieces, and after them the bytes written to the batch since the last piece.
   */
  #queue: Uint8Array[] = [];
  #batch: Buffer | undefined;
  #batchStart = 0;
  #batchEnd = 0;
  /** The bytes of queue and batch together. */
  #queuedBytes = 0;
  #isFlushScheduled = false;
  #isClosing = false;
  #isClosed = false;

  constructor(name: string, readable: Readable, writable: Writable, maxMessageBytes: number) {
    this.name = name;
    this.#isLastOwner = writable instanceof Socket;
    this.#readable = readable;
    this.#writable = writable;
    this.#isLent = isLender(readable);
    this.#decoder = new FrameDecoder(maxMessageBytes, this.#isLent);
    this.#assembler = new Assembler(maxMessageBytes);
  }

  /** A later call replaces the events. */
  open(events: LinkEvents): void {
    const isFirst = this.#events === undefined;
    this.#events = events;
    if (!isFirst) return;
    const ended = () => this.endLink(`${this.name}: connection closed`);
    // EPIPE, ECONNRESET and EIO are how the writing side sees the end of a peer. They mean the same as its
    // EOF.
    const failed = (error: Error) => this.endLink(`${this.name}: connection lost: ${error.message}`);
    this.#readable.on("data", (chunk: Buffer) => {
      const isDone = this.receive(chunk);
      // Other kinds of streams may still use their chunks.
      if (isDone && this.#readable instanceof Socket && !this.#isLent) freeMemory(chunk);
    });
    this.#readable.on("end", ended).on("close", ended).on("error", failed);
    this.#writable.on("drain", () => {
      this.pumpBulk(BULK_WATER_BYTES);
      if (this.queuedBytes < HIGH_WATER_BYTES) this.#events?.onDrained?.();
    });
    this.#writable.on("error", (error) => {
      // The last output of the peer is still to be read. Then the peer's EOF ends the link, but the link must not
      // wait for the EOF for ever.
      if (this.#readable.destroyed) failed(error);
      else setTimeout(failed, UNREAD_GRACE_MS, error).unref();
    });
  }

  /**
   * Takes bytes, including those read before the link existed. Returns true if all were copied, so that
   * nobody needs the chunk any more.
   */
  receive(chunk: Buffer): boolean {
    let isDone = true;
    if (this.#isClosed) return isDone;
    try {
      this.#decoder.push(
        chunk,
        (received) => {
          const frame = received.encoding === Encoding.PART ? this.#assembler.add(received) : received;
          if (frame === undefined) return;
          if ((frame.body[0] as Uint8Array).buffer === chunk.buffer) isDone = false;
          if (!this.#isClosed) this.#events?.onFrame(frame);
        },
        this.#events?.onBytes,
      );
    } catch (error) {
      // The only place that handles a decode error of this link. After one, the decoder cannot find the next
      // frame.
      const message = error instanceof ProtocolError ? error.message : stackOf(error);
      log.error(`${this.name}: ${message}`);
      this.abort(`${this.name}: protocol error: ${message}`);
    }
    return isDone;
  }

  send(frame: Frame): boolean {
    if (this.#isClosing || this.#isClosed) return true;
    const bytes = frameLength(frame);
    const place = this.#lanes.add(frame, bytes);
    if (place === "bulk") {
      this.pumpBulk(BULK_WATER_BYTES);
      // So the other side can read while this one continues.
      if (this.#queuedBytes >= FLUSH_BYTES) this.flush();
    } else {
      if (place === "barrier") this.pumpBulk(Number.POSITIVE_INFINITY);
      if (bytes > SMALL_BYTES) this.enqueuePieces(encodeFrame(frame));
      else {
        const at = this.roomFor(bytes);
        this.#batchEnd = writeFrame(this.#batch as Buffer, at, frame, bytes);
      }
    }
    return this.queuedBytes < HIGH_WATER_BYTES;
  }

  /**
   * Also returns false for a frame that belongs in a lane, and while anything waits in a lane, because the frame
   * might overtake it.
   */
  sendBytes(bytes: Buffer, start: number, end: number): boolean {
    const isPlain = this.#lanes.bytes === 0 && !isCreditHandle(readUint32(bytes, start + 18));
    if (!isPlain || end - start > SMALL_BYTES || this.queuedBytes >= HIGH_WATER_BYTES) return false;
    if (this.#isClosing || this.#isClosed) return true;
    const at = this.roomFor(end - start);
    this.#batchEnd = at + bytes.copy(this.#batch as Buffer, at, start, end);
    return true;
  }

  pause(): void {
    this.#readable.pause();
  }

  resume(): void {
    this.#readable.resume();
  }

  private enqueuePieces(pieces: readonly Uint8Array[]): void {
    this.endBatch();
    for (const piece of pieces) {
      this.#queue.push(piece);
      this.#queuedBytes += piece.length;
    }
    this.scheduleFlush();
  }

  /**
   * Makes room in the batch for so many bytes, which leave with the next flush. Returns where they begin. All
   * small frames share the memory of the batch.
   */
  private roomFor(bytes: number): number {
    // The bytes so far leave now, so that the other side can begin while more are made here.
    if (this.#batchEnd + bytes > BATCH_BYTES) this.flush();
    // A link that may not write yet has flushed nothing.
    if (this.#batchEnd + bytes > BATCH_BYTES) {
      this.endBatch();
      this.dropBatch();
    }
    this.#batch ??= Buffer.allocUnsafeSlow(BATCH_BYTES);
    this.#queuedBytes += bytes;
    this.scheduleFlush();
    return this.#batchEnd;
  }

  private scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    // Everything sent in this turn leaves in one write.
    process.nextTick(() => this.flush());
  }

  /** Moves the bytes of the batch to the end of the queue. */
  private endBatch(): void {
    const [start, end] = [this.#batchStart, this.#batchEnd];
    if (end > start) this.#queue.push((this.#batch as Buffer).subarray(start, end));
    this.#batchStart = end;
  }

  private dropBatch(): void {
    this.#batch = undefined;
    this.#batchStart = this.#batchEnd = 0;
  }

  /** Queues bulk until this many bytes wait for the operating system. */
  private pumpBulk(waterBytes: number): void {
    while (this.#lanes.bytes > 0 && this.#queuedBytes + this.#writable.writableLength < waterBytes) {
      this.enqueuePieces(this.#lanes.take());
    }
  }

  /** Bytes accepted but not yet taken by the operating system. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#lanes.bytes + this.#writable.writableLength;
  }

  close(): void {
    if (this.#isClosing || this.#isClosed) return;
    this.pumpBulk(Number.POSITIVE_INFINITY);
    this.flush();
    this.#isClosing = true;
    this.#writable.end();
  }

  abort(reason: string): void {
    this.#queue = [];
    this.dropBatch();
    this.#queuedBytes = 0;
    this.#lanes.clear();
    this.endLink(reason);
  }

  /** Writes the queued bytes now, to the operating system or to the stream's own queue. */
  flush(): void {
    this.#isFlushScheduled = false;
    if (this.#isClosed || this.#queuedBytes === 0) return;
    const isBatch = this.#queue.length === 0;
    this.endBatch();
    const chunks = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    let last = chunks.pop() as Uint8Array;
    if (isBatch) {
      const taken = writeNow(this.#writable, last);
      this.directBytes += taken;
      if (taken === last.length) {
        // The batch's memory can be used again.
        this.#batchStart = this.#batchEnd = 0;
        return;
      }
      last = last.subarray(taken);
    }
    this.dropBatch();
    const spent = this.#lanes.takeSpent();
    // All in one writev(2).
    this.#writable.cork();
    for (const chunk of chunks) this.#writable.write(chunk);
    this.#writable.write(last, () => {
      if (this.#isLastOwner) spent.forEach(freeMemory);
      this.noteWritten();
    });
    this.#writable.uncork();
  }

  /** Called when the operating system has taken the bytes that did not leave at once. */
  protected noteWritten(): void {}

  private endLink(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#readable.destroy();
    this.#writable.destroy();
    this.#events?.onClosed(reason);
  }
}
