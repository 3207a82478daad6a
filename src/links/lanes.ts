import { ProtocolError } from "../errors.ts";
import { isCreditHandle } from "../wire/credit-handles.ts";
import { Encoding, encodeFrame, type Frame, HEADER_BYTES, PART_BYTES } from "../wire/frame.ts";
import { checkHeader, makeFrame } from "../wire/frame-decoder.ts";
import { Handle } from "../wire/handles.ts";
import { MOVE_BYTES } from "./free-memory.ts";

/** How many large frames may be on their way over one link at once. */
const MAX_OPEN = 64;
/** How long they may be together; a single one may be longer. */
const MAX_OPEN_BYTES = 64 * 1024 * 1024;

/** What a part takes here beside its bytes: somebody may send very many that are very small. */
const PART_COST = 256;

/** What leaves a lane: a frame, or the parts of a large one, of which others may take their turn in between. */
interface Load {
  readonly parts: (readonly Uint8Array[])[];
  /** Length of a frame in parts; 0 for one that leaves as it is. */
  readonly total: number;
  /** What of its memory is given back when it has left. */
  readonly memory: readonly Uint8Array[];
  isOpen: boolean;
  /** The one behind it: there may be very many, and the `shift()` of a long array moves all that are left. */
  next?: Load;
}

interface Lane {
  first: Load | undefined;
  last: Load;
}

/**
 * What waits for its turn on a link: large frames, and what a flow-controlled sender sends, by who sends it to whom. Between
 * two contexts nothing overtakes; all others may, so that nobody waits for somebody else's bulk. docs/protocol.md#bulk
 */
export class Lanes {
  /** What waits here takes so much. */
  bytes = 0;
  readonly #lanes: Map<string, Lane> = new Map();
  readonly #open: OpenFrames = new OpenFrames();
  #spent: Uint8Array[] = [];
  /** Found no room for its large frame: no other lane opens one before it does, or a stream of smaller ones could starve it. */
  #next: string | undefined;

  /** Of a frame that is `bytes` long; `bulk`: it was put here. `barrier`: it must leave behind all that is here. `plain`: it may leave at once. */
  add(frame: Frame, bytes: number): "bulk" | "barrier" | "plain" {
    const { handle } = frame;
    const isCall = handle === Handle.CALL_FUNCTION || handle === Handle.CALL_SERVICE;
    // Routes and modules concern what others send: they keep their place among everything.
    if (handle <= Handle.LAST_RESERVED && !isCall) return isUrgent(handle) ? "plain" : "barrier";
    const isLarge = bytes > PART_BYTES;
    const isBulk = isLarge || isCreditHandle(frame.replyTo);
    // Nearly every frame ends here, and needs no key.
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

  /** The next part, from one lane after the other; only while there are `bytes`. */
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
    // Not reached: what is open may go on, and while nothing is, anything may be opened.
    throw new Error("No lane may leave");
  }

  /** The memory of the frames whose last part was taken since this was asked. Nobody needs it once those parts have left. */
  takeSpent(): readonly Uint8Array[] {
    const spent = this.#spent;
    this.#spent = [];
    return spent;
  }

  /** For a link that has ended: what was on its way is not finished. */
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

/** A large frame of which some parts have come. */
interface Unfinished {
  readonly header: Buffer;
  readonly body: Buffer;
  /** Of header and body together. */
  bytes: number;
}

/** Makes frames of their parts again. */
export class Assembler {
  readonly #maxMessageBytes: number;
  readonly #open: OpenFrames = new OpenFrames();
  readonly #unfinished: Map<string, Unfinished> = new Map();

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** The frame, with its last part. Throws a ProtocolError for parts that do not add up. */
  add({ srcId, dstId, handle: total, body: [part] }: Frame): Frame | undefined {
    const key = `${srcId}:${dstId}`;
    const length = total - HEADER_BYTES;
    let whole = this.#unfinished.get(key);
    if (whole === undefined) {
      // Room is made for a frame when its first part comes. A hostile neighbour could begin many and finish none: what it
      // can make us keep is what an honest one has on its way at once, or a single frame.
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

/** The large frames of which some parts have crossed a link and some have not: both of its ends count them alike. */
class OpenFrames {
  #count = 0;
  #bytes = 0;

  /** False if there is no room for one more; then nothing has changed. The first always has room. */
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

/** What concerns no order: it may overtake anything. */
function isUrgent(handle: number): boolean {
  return handle === Handle.PING || handle === Handle.SHUTDOWN || handle === Handle.FORWARD_LOG;
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  let total = 0;
  for (const { length } of pieces) total += length;
  return total;
}

/** The encoded frame in frames of their own, for this link only; `handle` is the length of it all. */
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
