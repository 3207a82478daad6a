import { ProtocolError } from "../errors.ts";
import { Encoding, encodeFrame, type Frame, HEADER_BYTES } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { Handle } from "../wire/handles.ts";
import { isCreditHandle } from "./credit-handles.ts";

/** Frames above this cross a link in parts, between which others may pass. */
const PART_BYTES = 64 * 1024;
/** How many pairs of contexts may have a frame in parts on its way over one link: what a hostile child can make us keep. */
const MAX_UNFINISHED = 64;

/**
 * What waits for its turn on a link: large frames, and what a flow-controlled sender sends, by who sends it to whom. Between
 * two contexts nothing overtakes; all others may, so that nobody waits for somebody else's bulk. docs/protocol.md#bulk
 */
export class Lanes {
  /** Waiting here. */
  bytes = 0;
  readonly #lanes: Map<string, (readonly Uint8Array[])[]> = new Map();

  /** `bulk`: it was put here. `barrier`: it must leave behind all that is here. `plain`: it may leave at once. */
  add(frame: Frame, pieces: readonly Uint8Array[]): "bulk" | "barrier" | "plain" {
    const { handle } = frame;
    const isCall = handle === Handle.CALL_FUNCTION || handle === Handle.CALL_SERVICE;
    // Routes and modules concern what others send: they keep their place among everything.
    if (handle <= Handle.LAST_RESERVED && !isCall) return isUrgent(handle) ? "plain" : "barrier";
    const bytes = lengthOf(pieces);
    const isBulk = bytes > PART_BYTES || isCreditHandle(frame.replyTo);
    const key = `${frame.srcId}:${frame.dstId}`;
    const lane = this.bytes > 0 ? this.#lanes.get(key) : undefined;
    if (!isBulk && (lane === undefined || isCreditHandle(handle) || bytes === HEADER_BYTES)) return "plain";
    const entries = bytes > PART_BYTES ? inParts(frame, pieces, bytes) : [pieces];
    for (const entry of entries) this.bytes += lengthOf(entry);
    if (lane !== undefined) lane.push(...entries);
    else this.#lanes.set(key, entries);
    return "bulk";
  }

  /** The next part, from one lane after the other; only while there are `bytes`. */
  take(): readonly Uint8Array[] {
    const [[key, lane]] = this.#lanes as Iterable<unknown> as [[string, (readonly Uint8Array[])[]]];
    this.#lanes.delete(key);
    const pieces = lane.shift() as readonly Uint8Array[];
    if (lane.length > 0) this.#lanes.set(key, lane);
    this.bytes -= lengthOf(pieces);
    return pieces;
  }

  clear(): void {
    this.bytes = 0;
    this.#lanes.clear();
  }
}

/** Makes frames of their parts again. */
export class Assembler {
  readonly #maxMessageBytes: number;
  readonly #unfinished: Map<string, { readonly decoder: FrameDecoder; left: number }> = new Map();

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** The frame, with its last part. Throws a ProtocolError for parts that do not add up. */
  add({ srcId, dstId, handle: total, body }: Frame): Frame | undefined {
    const key = `${srcId}:${dstId}`;
    let whole = this.#unfinished.get(key);
    if (whole === undefined) {
      if (total > this.#maxMessageBytes + HEADER_BYTES || this.#unfinished.size >= MAX_UNFINISHED)
        throw new ProtocolError(`Cannot receive message: ${total} bytes in parts are too many`);
      whole = { decoder: new FrameDecoder(this.#maxMessageBytes), left: total };
      this.#unfinished.set(key, whole);
    }
    const found: Frame[] = [];
    for (const piece of body) {
      whole.left -= piece.length;
      whole.decoder.push(piece as Buffer, (frame) => found.push(frame));
    }
    const [frame] = found;
    if (frame === undefined && whole.left > 0) return undefined;
    this.#unfinished.delete(key);
    if (
      found.length !== 1 ||
      whole.left !== 0 ||
      whole.decoder.pendingBytes > 0 ||
      frame?.encoding === Encoding.PART
    )
      throw new ProtocolError("Cannot receive message: its parts make no frame");
    return frame;
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
