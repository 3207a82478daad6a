import { ProtocolError } from "../errors.ts";
import { isCreditHandle } from "../wire/credit-handles.ts";
import { Encoding, encodeFrame, type Frame, HEADER_BYTES, PART_BYTES } from "../wire/frame.ts";
import { checkHeader, makeFrame } from "../wire/frame-decoder.ts";
import { Handle } from "../wire/handles.ts";
import { MOVE_BYTES } from "./free-memory.ts";

/** The most large frames in transit over one link at once. */
const MAX_OPEN = 64;
/** The most bytes of these frames together. A single frame may be longer. */
const MAX_OPEN_BYTES = 64 * 1024 * 1024;

/** The memory that a part takes besides its bytes: a sender may send very many small ones. */
const PART_COST = 256;

/** An entry in a lane: a frame, or the parts of a large one. Other lanes may have their turn between the parts. */
interface Load {
  readonly parts: (readonly Uint8Array[])[];
  /** The length of a frame in parts; 0 for a frame that leaves whole. */
  readonly total: number;
  /** The memory that is released when it has left. */
  readonly memory: readonly Uint8Array[];
  isOpen: boolean;
  /** The next entry. There may be very many, and the `shift()` of a long array moves all that are left. */
  next?: Load;
}

interface Lane {
  first: Load | undefined;
  last: Load;
}

/**
 * Frames that wait for their turn on a link: large frames, and frames of flow-controlled senders, in lanes by
 * sending and receiving context. Frames between two contexts stay in order. All others may overtake each
 * other, so that no context waits for another's bulk. docs/protocol.md#bulk
 */
export class Lanes {
  /** The bytes that wait here. */
  bytes = 0;
  readonly #lanes: Map<string, Lane> = new Map();
  readonly #open: OpenFrames = new OpenFrames();
  #spent: Uint8Array[] = [];
  /**
   * The lane that found no room for its large frame. No other lane may open one before it, because a stream
   * of smaller ones could starve it.
   */
  #next: string | undefined;

  /**
   * Classifies a frame of `bytes` bytes. `bulk`: it was put here. `barrier`: it must leave after everything
   * that is here. `plain`: it may leave at once.
   */
  add(frame: Frame, bytes: number): "bulk" | "barrier" | "plain" {
    const { handle } = frame;
    const isCall = handle === Handle.CALL_FUNCTION || handle === Handle.CALL_SERVICE;
    // Routes and modules concern the messages of others, so they keep their place among all frames.
    if (handle <= Handle.LAST_RESERVED && !isCall) return isUrgent(handle) ? "plain" : "barrier";
    const isLarge = bytes > PART_BYTES;
    const isBulk = isLarge || isCreditHandle(frame.replyTo);
    // Nearly every frame returns here, and needs no key.
    if (!isBulk && (this.bytes === 0 || isCreditHandle(handle) || bytes === HEADER_BYTES)) return "plain";
    const key = `${frame.srcId}:${frame.dstId}`;
    const lane = this.#lanes.get(key);
    if (!isBulk && lane === undefined) return "plain";
    const pieces = encodeFrame(frame);
    const parts = isLarge ? inParts(frame, pieces, bytes) : [pieces];
    for (const part of parts) this.bytes += lengthOf(part) + PART_COST;
    const memory = frame.isKept ? [] : pieces.filter(({ length }) => length >= MOVE_BYTES);
    const load: Load = { parts, total: isLarge ? bytes : 0, memory, isOpen: false };
    if (lane === undefined) this.#lanes.set(key, { first: load, last: load });
    else {
      lane.last.next = load;
      lane.last = load;
    }
    return "bulk";
  }

  /** Takes the next part, from one lane after the other. Call it only while `bytes` is not 0. */
  take(): readonly Uint8Array[] {
    for (const [key, lane] of this.#lanes) {
      const load = lane.first as Load;
      if (!this.mayLeave(key, load)) continue;
      const part = load.parts.shift() as readonly Uint8Array[];
      if (load.parts.length === 0) {
        lane.first = load.next;
        if (load.isOpen) this.#open.end(load.total);
        this.#spent.push(...load.memory);
      }
      this.#lanes.delete(key);
      if (lane.first !== undefined) this.#lanes.set(key, lane);
      this.bytes -= lengthOf(part) + PART_COST;
      return part;
    }
    // Never reached: frames in transit may continue, and without any, the next frame may begin.
    throw new Error("No lane may leave");
  }

  /**
   * Returns the memory of the frames whose last part was taken since the previous call. It is free once those
   * parts have left.
   */
  takeSpent(): readonly Uint8Array[] {
    const spent = this.#spent;
    this.#spent = [];
    return spent;
  }

  /** Call this when the link has ended. Drops everything that waits; frames in transit are not finished. */
  clear(): void {
    this.bytes = 0;
    this.#lanes.clear();
  }

  private mayLeave(key: string, load: Load): boolean {
    if (load.total === 0 || load.isOpen) return true;
    if (this.#next !== undefined && this.#next !== key) return false;
    load.isOpen = this.#open.begin(load.total);
    this.#next = load.isOpen ? undefined : key;
    return load.isOpen;
  }
}

/** A large frame that has arrived in part. */
interface Unfinished {
  readonly header: Buffer;
  readonly body: Buffer;
  /** The bytes of header and body that have arrived. */
  bytes: number;
}

/** Assembles frames from their parts. */
export class Assembler {
  readonly #maxMessageBytes: number;
  readonly #open: OpenFrames = new OpenFrames();
  readonly #unfinished: Map<string, Unfinished> = new Map();

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /**
   * Takes a part. Returns the frame with its last part. Throws a ProtocolError for parts that do not fit
   * together.
   */
  add({ srcId, dstId, handle: total, body: [part] }: Frame): Frame | undefined {
    const key = `${srcId}:${dstId}`;
    const length = total - HEADER_BYTES;
    let whole = this.#unfinished.get(key);
    if (whole === undefined) {
      // Memory for a frame is allocated when its first part comes, and a hostile neighbour could begin many
      // frames and finish none. So it may begin no more than an honest neighbour has in transit at once.
      if (length < 0 || length > this.#maxMessageBytes || !this.#open.begin(total))
        throw new ProtocolError(`Cannot receive message: ${total} bytes in parts are too many`);
      whole = { header: Buffer.alloc(HEADER_BYTES), body: Buffer.allocUnsafeSlow(length), bytes: 0 };
      this.#unfinished.set(key, whole);
    }
    const { header, body } = whole;
    const inHeader = (part as Buffer).copy(header, whole.bytes);
    (part as Buffer).copy(body, Math.max(whole.bytes - HEADER_BYTES, 0), inHeader);
    whole.bytes += (part as Buffer).length;
    if (whole.bytes < HEADER_BYTES + body.length) return undefined;
    this.#unfinished.delete(key);
    this.#open.end(HEADER_BYTES + body.length);
    const frame = makeFrame(header, 0, body);
    if (
      checkHeader(header, 0, body.length) !== whole.bytes - HEADER_BYTES ||
      frame.encoding === Encoding.PART
    )
      throw new ProtocolError("Cannot receive message: its parts make no frame");
    return frame;
  }
}

/**
 * The large frames of which some parts have crossed a link and some have not. Both ends of the link count
 * them in the same way.
 */
class OpenFrames {
  #count = 0;
  #bytes = 0;

  /** Returns false, without any change, if there is no room for another frame. The first always has room. */
  begin(total: number): boolean {
    if (this.#count > 0 && (this.#count === MAX_OPEN || this.#bytes + total > MAX_OPEN_BYTES)) return false;
    this.#count += 1;
    this.#bytes += total;
    return true;
  }

  end(total: number): void {
    this.#count -= 1;
    this.#bytes -= total;
  }
}

/** Messages whose order does not matter: they may overtake any other. */
function isUrgent(handle: number): boolean {
  return handle === Handle.PING || handle === Handle.SHUTDOWN || handle === Handle.FORWARD_LOG;
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  let total = 0;
  for (const { length } of pieces) total += length;
  return total;
}

/** Splits an encoded frame into frames for this link only. Their `handle` is the total length. */
function inParts({ srcId, dstId }: Frame, pieces: readonly Uint8Array[], total: number): Uint8Array[][] {
  const parts: Uint8Array[][] = [];
  for (const piece of pieces) {
    for (let offset = 0; offset < piece.length; offset += PART_BYTES) {
      const body = [piece.subarray(offset, offset + PART_BYTES)];
      const part = { encoding: Encoding.PART, srcId, dstId, authId: 0, handle: total, replyTo: 0, body };
      parts.push(encodeFrame(part));
    }
  }
  return parts;
}
