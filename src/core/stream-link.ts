import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { ProtocolError } from "../errors.ts";
import { Encoding, encodeFrame, type Frame, HEADER_BYTES } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { stackOf } from "../wire/thrown.ts";
import { isLender } from "./input-socket.ts";
import { Assembler, Lanes } from "./lanes.ts";
import type { Link, LinkEvents } from "./link.ts";
import { getLogger, isLogEnabled, LogLevel } from "./log.ts";
import { release } from "./release.ts";

/** Above this much queued, `send` answers false. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Pieces up to here are joined before a write, larger ones are written by themselves. */
const JOIN_BYTES = 64 * 1024;

/** So much bulk is handed to the operating system at once; what may overtake it waits no longer than for that. */
const BULK_WATER_BYTES = 128 * 1024;

/** How long a peer that reads no more may go on writing. */
const EPIPE_GRACE_MS = 1000;

const log = getLogger("mitogen.io");
const linkLog = getLogger("mitogen.link");

/** A link over a pair of byte streams, which it owns: closing the link destroys them. */
export class StreamLink implements Link {
  readonly name: string;
  readonly #readable: Readable;
  readonly #writable: Writable;
  readonly #isLastOwner: boolean;
  /** Chunks are. */
  readonly #isLent: boolean;
  readonly #decoder: FrameDecoder;
  readonly #lanes: Lanes = new Lanes();
  readonly #assembler: Assembler;
  #events: LinkEvents | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isFlushScheduled = false;
  #isClosing = false;
  #isClosed = false;

  /** `isLastOwner`: nobody has the bytes that `writable` has taken. What another kind of stream is may pass them on. */
  constructor(
    name: string,
    readable: Readable,
    writable: Writable,
    maxMessageBytes: number,
    isLastOwner: boolean = writable instanceof Socket,
  ) {
    this.name = name;
    this.#isLastOwner = isLastOwner;
    this.#readable = readable;
    this.#writable = writable;
    this.#isLent = isLender(readable);
    this.#decoder = new FrameDecoder(maxMessageBytes, this.#isLent);
    this.#assembler = new Assembler(maxMessageBytes);
  }

  /** A later call takes delivery over. */
  open(events: LinkEvents): void {
    const isFirst = this.#events === undefined;
    this.#events = events;
    if (!isFirst) return;
    const ended = () => this.finish(`${this.name}: connection closed`);
    // EPIPE, ECONNRESET and EIO are how a peer's end looks from the writing side: the same as its EOF.
    const failed = (error: Error) => this.finish(`${this.name}: connection lost: ${error.message}`);
    this.#readable.on("data", (chunk: Buffer) => {
      const isDone = this.receive(chunk);
      // What another kind of stream yields may be somebody's.
      if (isDone && this.#readable instanceof Socket && !this.#isLent) release(chunk);
    });
    this.#readable.on("end", ended).on("close", ended).on("error", failed);
    this.#writable.on("drain", () => {
      this.pump(BULK_WATER_BYTES);
      if (this.queuedBytes < HIGH_WATER_BYTES) this.#events?.onDrained?.();
    });
    this.#writable.on("error", (error: NodeJS.ErrnoException) => {
      // What the peer said before it went is still to be read; its EOF ends the link, which must not wait for it for ever.
      if (error.code !== "EPIPE" || this.#readable.destroyed) failed(error);
      else setTimeout(failed, EPIPE_GRACE_MS, error).unref();
    });
  }

  /** Feeds bytes; those read before the link existed, too. True: all of them were copied, nobody needs the chunk any more. */
  receive(chunk: Buffer): boolean {
    let isDone = true;
    if (this.#isClosed) return isDone;
    try {
      this.#decoder.push(chunk, (received) => {
        const frame = received.encoding === Encoding.PART ? this.#assembler.add(received) : received;
        if (frame === undefined) return;
        if ((frame.body[0] as Uint8Array).buffer === chunk.buffer) isDone = false;
        if (isLogEnabled(LogLevel.io)) traceFrame(this.name, "received", frame);
        if (!this.#isClosed) this.#events?.onFrame(frame);
      });
    } catch (error) {
      // The one place where a decode error of this link ends: it cannot find its place in the bytes again.
      const message = error instanceof ProtocolError ? error.message : stackOf(error);
      linkLog.error(`${this.name}: ${message}`);
      this.abort(`${this.name}: protocol error: ${message}`);
    }
    return isDone;
  }

  send(frame: Frame): boolean {
    if (this.#isClosing || this.#isClosed) return true;
    if (isLogEnabled(LogLevel.io)) traceFrame(this.name, "sent", frame);
    const pieces = encodeFrame(frame);
    const place = this.#lanes.add(frame, pieces);
    if (place === "bulk") {
      this.pump(BULK_WATER_BYTES);
      // The other side begins to read while this one does what it has to do next.
      if (this.#queuedBytes >= JOIN_BYTES) this.flush();
    } else {
      if (place === "barrier") this.pump(Number.POSITIVE_INFINITY);
      this.enqueue(pieces);
    }
    return this.queuedBytes < HIGH_WATER_BYTES;
  }

  pause(): void {
    this.#readable.pause();
  }

  resume(): void {
    this.#readable.resume();
  }

  private enqueue(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      this.#queue.push(piece);
      this.#queuedBytes += piece.length;
    }
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      // Everything sent in this turn leaves in one write.
      process.nextTick(() => this.flush());
    }
  }

  /** Moves bulk on, until so much waits for the operating system. */
  private pump(waterBytes: number): void {
    while (this.#lanes.bytes > 0 && this.#queuedBytes + this.#writable.writableLength < waterBytes) {
      this.enqueue(this.#lanes.take());
    }
  }

  /** Bytes accepted but not yet taken by the operating system. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#lanes.bytes + this.#writable.writableLength;
  }

  close(): void {
    if (this.#isClosing || this.#isClosed) return;
    this.pump(Number.POSITIVE_INFINITY);
    this.flush();
    this.#isClosing = true;
    this.#writable.end();
  }

  abort(reason: string): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#lanes.clear();
    this.finish(reason);
  }

  /** Hands what is queued to the operating system, or to the stream's own queue, now. */
  flush(): void {
    this.#isFlushScheduled = false;
    if (this.#isClosed || this.#queue.length === 0) return;
    const chunks = [...joinSmall(this.#queue)];
    this.#queue = [];
    this.#queuedBytes = 0;
    const spent = this.#lanes.takeSpent();
    const last = chunks.pop() as Uint8Array;
    if (chunks.length > 0) this.#writable.cork();
    for (const chunk of chunks) this.#writable.write(chunk);
    if (spent.length === 0 || !this.#isLastOwner) this.#writable.write(last);
    else this.#writable.write(last, () => spent.forEach(release));
    if (chunks.length > 0) this.#writable.uncork();
  }

  private finish(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#readable.destroy();
    this.#writable.destroy();
    this.#events?.onClosed(reason);
  }
}

function* joinSmall(pieces: readonly Uint8Array[]): Iterable<Uint8Array> {
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  for (const piece of pieces) {
    if (batchBytes + piece.length > JOIN_BYTES && batch.length > 0) {
      yield batch.length === 1 ? (batch[0] as Uint8Array) : Buffer.concat(batch, batchBytes);
      batch = [];
      batchBytes = 0;
    }
    batch.push(piece);
    batchBytes += piece.length;
  }
  if (batch.length > 0)
    yield batch.length === 1 ? (batch[0] as Uint8Array) : Buffer.concat(batch, batchBytes);
}

/** One line per frame at level IO; bodies are never shown, they may hold secrets. */
function traceFrame(name: string, verb: string, frame: Frame): void {
  let bytes = HEADER_BYTES;
  for (const piece of frame.body) bytes += piece.length;
  log.io(
    `${name}: ${verb} ${bytes} bytes ${frame.srcId}:${frame.replyTo} -> ${frame.dstId}:${frame.handle} auth ${frame.authId}`,
  );
}
