import { ProtocolError } from "../errors.ts";
import { Encoding, type Frame, HEADER_BYTES, PART_BYTES, readUint32 } from "./frame.ts";

/** Returns true if it has taken the encoded frame from `start` to `end`. It must not keep the memory. */
export type PassBytes = (bytes: Buffer, start: number, end: number) => boolean;

/** How many bytes of a corrupt stream an error shows. */
const SAMPLE_BYTES = 2048;

/**
 * Splits a byte stream into frames, however the bytes were cut.
 *
 * Holds at most one incomplete frame. Throws {@link ProtocolError} for a header with an unknown magic, or
 * with a body over `maxMessageBytes`, before any of the body is stored. The decoder is then unusable. A body
 * that arrives within one chunk is a view of that chunk, unless chunks are lent; any other body has memory of
 * its own. The body of a part ({@link Encoding.PART}) is valid only during `onFrame`.
 */
export class FrameDecoder {
  readonly #maxMessageBytes: number;
  readonly #isLent: boolean;
  readonly #header: Buffer = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** The length of the body, from the header. */
  #length = 0;
  #body: Buffer | undefined;
  #part: Buffer | undefined;
  #bodyBytes = 0;

  /** `isLent` means that the memory of a chunk is used again after it has been pushed. */
  constructor(maxMessageBytes: number, isLent = false) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#isLent = isLent;
  }

  /** The bytes held of an incomplete frame; 0 between frames. */
  get pendingBytes(): number {
    return this.#headerBytes + this.#bodyBytes;
  }

  /**
   * Calls `onFrame`, in order, for every frame that `chunk` completes. A frame that is whole within the chunk
   * is first offered to `pass`.
   */
  push(chunk: Buffer, onFrame: (frame: Frame) => void, pass?: PassBytes): void {
    let offset = 0;
    while (offset < chunk.length) {
      // The common case: a frame that is whole within this chunk is read in place.
      if (this.#headerBytes === 0 && chunk.length - offset >= HEADER_BYTES) {
        const start = offset + HEADER_BYTES;
        const end = start + checkHeader(chunk, offset, this.#maxMessageBytes);
        if (chunk.length >= end) {
          if (pass?.(chunk, offset, end) !== true)
            onFrame(this.makeOwn(chunk, offset, chunk.subarray(start, end)));
          offset = end;
          continue;
        }
      }
      if (this.#headerBytes < HEADER_BYTES) offset += this.takeHeader(chunk, offset);
      if (this.#headerBytes === HEADER_BYTES) offset += this.takeBody(chunk, offset, onFrame);
    }
  }

  private takeHeader(chunk: Buffer, offset: number): number {
    const taken = chunk.copy(this.#header, this.#headerBytes, offset);
    this.#headerBytes += taken;
    // The magic is checked as soon as it is there, so that junk is noticed before 26 bytes have arrived.
    if (this.#headerBytes >= 2) checkMagic(this.#header, 0, chunk, 0);
    if (this.#headerBytes === HEADER_BYTES) {
      this.#length = checkHeader(this.#header, 0, this.#maxMessageBytes);
    }
    return taken;
  }

  private takeBody(chunk: Buffer, offset: number, onFrame: (frame: Frame) => void): number {
    const length = this.#length;
    if (this.#bodyBytes === 0 && chunk.length - offset >= length) {
      this.#headerBytes = 0;
      onFrame(this.makeOwn(this.#header, 0, chunk.subarray(offset, offset + length)));
      return length;
    }
    if (offset === chunk.length) return 0;
    this.#body ??= this.bodyRoom(length);
    const taken = chunk.copy(this.#body, this.#bodyBytes, offset);
    this.#bodyBytes += taken;
    if (this.#bodyBytes === length) {
      const body = this.#body;
      this.#body = undefined;
      this.#bodyBytes = 0;
      this.#headerBytes = 0;
      onFrame(makeFrame(this.#header, 0, body));
    }
    return taken;
  }

  /**
   * Memory for a body that arrives in several chunks. All parts share one memory, because their receiver
   * copies them.
   */
  private bodyRoom(length: number): Buffer {
    if (magicOf(this.#header, 0) !== Encoding.PART) return Buffer.allocUnsafeSlow(length);
    this.#part ??= Buffer.allocUnsafeSlow(PART_BYTES);
    return this.#part.subarray(0, length);
  }

  private makeOwn(header: Buffer, offset: number, view: Buffer): Frame {
    const isOwn = !this.#isLent || magicOf(header, offset) === Encoding.PART;
    return makeFrame(header, offset, isOwn ? view : Buffer.from(view));
  }
}

function magicOf(bytes: Buffer, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
}

/** Throws if no frame begins at `offset`. The error shows the bytes of `sample` from `from` on. */
function checkMagic(bytes: Buffer, offset: number, sample: Buffer, from: number): void {
  const magic = magicOf(bytes, offset);
  if (magic >= Encoding.CBOR && magic <= Encoding.PART) return;
  throw new ProtocolError(
    `Cannot decode frame: bad magic 0x${magic.toString(16)}, something else wrote to the link: ${JSON.stringify(
      // JSON escapes only half of the characters that move a terminal's cursor.
      sample.toString("latin1", from, from + SAMPLE_BYTES).replace(/[\x7f-\x9f]/g, "?"),
    ).slice(0, SAMPLE_BYTES)}`,
  );
}

/** Returns the length of the body. Throws if no frame begins at `offset`, or if the body is over the limit. */
export function checkHeader(bytes: Buffer, offset: number, maxMessageBytes: number): number {
  checkMagic(bytes, offset, bytes, offset);
  const length = readUint32(bytes, offset + 22);
  // Otherwise a hostile neighbour's parts could be as large as whole messages, in addition to the frames
  // being assembled.
  const most = magicOf(bytes, offset) === Encoding.PART ? PART_BYTES : maxMessageBytes;
  if (length > most)
    throw new ProtocolError(
      `Cannot receive message: body of ${length} bytes exceeds maxMessageBytes ${most}`,
    );
  return length;
}

export function makeFrame(header: Buffer, offset: number, body: Buffer): Frame {
  return {
    encoding: magicOf(header, offset) as Encoding,
    dstId: readUint32(header, offset + 2),
    srcId: readUint32(header, offset + 6),
    authId: readUint32(header, offset + 10),
    handle: readUint32(header, offset + 14),
    replyTo: readUint32(header, offset + 18),
    body: [body],
  };
}
