/** The frame: 26 bytes of header, then the body. Layout: docs/protocol.md#frames. */

/** The kind of the body. Any other magic is corruption. */
export const Encoding = {
  /** One CBOR value, docs/encoding.md. */
  CBOR: 0x4d4a,
  /** Raw bytes. */
  RAW: 0x4d4b,
  /** A part of a larger frame, valid on one link only: src/links/lanes.ts. */
  PART: 0x4d4c,
} as const;
export type Encoding = (typeof Encoding)[keyof typeof Encoding];

/** A message as it crosses a link. Ids are unsigned 32-bit numbers. */
export interface Frame {
  readonly encoding: Encoding;
  readonly dstId: number;
  readonly srcId: number;
  /** The context whose authority it carries. Equals `srcId` unless a hop speaks in the name of another context. */
  readonly authId: number;
  readonly handle: number;
  /** The handle at `srcId` for the reply. 0 asks for none. `Handle.IS_DEAD` makes this a dead message. */
  readonly replyTo: number;
  /** The body in pieces. A received frame has exactly one. */
  readonly body: readonly Uint8Array[];
  /** Whether the sender may use the frame again. Then a link copies the body and never gives its memory away. */
  readonly isKept?: boolean;
}

export const HEADER_BYTES = 26;

/** Larger frames cross a link in parts, between which other frames may pass. */
export const PART_BYTES: number = 64 * 1024;

/** Bodies up to this size are copied after their header, because one buffer is cheaper to write than two. */
const INLINE_BODY_BYTES = 16 * 1024;

/** Returns the frame's bytes, in order. Bodies over `INLINE_BODY_BYTES` are referenced, not copied. */
export function encodeFrame(frame: Frame): Uint8Array[] {
  const bytes = frameLength(frame);
  const isInline = bytes <= HEADER_BYTES + INLINE_BODY_BYTES;
  const first = Buffer.allocUnsafe(isInline ? bytes : HEADER_BYTES);
  if (isInline) writeFrame(first, 0, frame, bytes);
  else writeHeader(first, 0, frame, bytes);
  return isInline ? [first] : [first, ...frame.body];
}

/** Writes a frame of `bytes` bytes to memory that has room for it, from `at` on. Returns where it ends. */
export function writeFrame(memory: Uint8Array, at: number, frame: Frame, bytes: number): number {
  writeHeader(memory, at, frame, bytes);
  let end = at + HEADER_BYTES;
  for (const piece of frame.body) {
    memory.set(piece, end);
    end += piece.length;
  }
  return end;
}

function writeHeader(memory: Uint8Array, at: number, frame: Frame, bytes: number): void {
  memory[at] = frame.encoding >>> 8;
  memory[at + 1] = frame.encoding;
  writeUint32(memory, at + 2, frame.dstId);
  writeUint32(memory, at + 6, frame.srcId);
  writeUint32(memory, at + 10, frame.authId);
  writeUint32(memory, at + 14, frame.handle);
  writeUint32(memory, at + 18, frame.replyTo);
  writeUint32(memory, at + 22, bytes - HEADER_BYTES);
}

/**
 * Does the work of `writeUInt32BE`. Many processes run this only a few times, and Node's function does more, in
 * code that is slow at first.
 */
function writeUint32(memory: Uint8Array, at: number, value: number): void {
  // Throws Node's error for a value that is out of range.
  if (value >>> 0 !== value) Buffer.alloc(4).writeUInt32BE(value);
  memory[at] = value >>> 24;
  memory[at + 1] = value >>> 16;
  memory[at + 2] = value >>> 8;
  memory[at + 3] = value;
}

export function readUint32(memory: Uint8Array, at: number): number {
  return (
    (((memory[at] as number) << 24) |
      ((memory[at + 1] as number) << 16) |
      ((memory[at + 2] as number) << 8) |
      (memory[at + 3] as number)) >>>
    0
  );
}

/** The length of the encoded frame. */
export function frameLength(frame: Frame): number {
  return HEADER_BYTES + bodyLength(frame);
}

/** The body's length in bytes. */
export function bodyLength(frame: Frame): number {
  let total = 0;
  for (const piece of frame.body) total += piece.length;
  return total;
}

/** The body as one piece. Copies only if it is in several. */
export function joinBody(frame: Frame): Uint8Array {
  return frame.body.length === 1 ? (frame.body[0] as Uint8Array) : Buffer.concat(frame.body as Uint8Array[]);
}
