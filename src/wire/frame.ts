/** The frame: 26 bytes of header, then the body. Layout: docs/protocol.md#frames. */

/** Says what the body is; any other magic is corruption. */
export const Encoding = {
  /** One CBOR value, docs/encoding.md. */
  CBOR: 0x4d4a,
  /** Bytes as they are. */
  RAW: 0x4d4b,
  /** A part of a larger frame, of one link only: src/core/lanes.ts. */
  PART: 0x4d4c,
} as const;
export type Encoding = (typeof Encoding)[keyof typeof Encoding];

/** One message as it crosses a link. Ids are unsigned 32-bit numbers. */
export interface Frame {
  readonly encoding: Encoding;
  readonly dstId: number;
  readonly srcId: number;
  /** The context whose authority it carries; equals `srcId` unless a parent speaks through a child. */
  readonly authId: number;
  readonly handle: number;
  /** Where an answer goes at `srcId`; 0 wants none, `Handle.IS_DEAD` makes this a dead message. */
  readonly replyTo: number;
  /** The body in pieces; a received frame has exactly one. */
  readonly body: readonly Uint8Array[];
}

export const HEADER_BYTES = 26;

/** Frames above this cross a link in parts, between which others may pass. */
export const PART_BYTES: number = 64 * 1024;

/** Bodies up to here are copied behind their header: one buffer is cheaper to write than two. */
const INLINE_BODY_BYTES = 16 * 1024;

/** The frame's bytes, in order. Bodies larger than a few KiB are referenced, not copied. */
export function encodeFrame(frame: Frame): Uint8Array[] {
  const bodyBytes = bodyLength(frame);
  const isInline = bodyBytes <= INLINE_BODY_BYTES;
  const first = Buffer.allocUnsafe(isInline ? HEADER_BYTES + bodyBytes : HEADER_BYTES);
  first.writeUInt16BE(frame.encoding, 0);
  first.writeUInt32BE(frame.dstId, 2);
  first.writeUInt32BE(frame.srcId, 6);
  first.writeUInt32BE(frame.authId, 10);
  first.writeUInt32BE(frame.handle, 14);
  first.writeUInt32BE(frame.replyTo, 18);
  first.writeUInt32BE(bodyBytes, 22);
  if (!isInline) return [first, ...frame.body];
  let offset = HEADER_BYTES;
  for (const piece of frame.body) {
    first.set(piece, offset);
    offset += piece.length;
  }
  return [first];
}

/** The body's length in bytes. */
export function bodyLength(frame: Frame): number {
  let total = 0;
  for (const piece of frame.body) total += piece.length;
  return total;
}

/** The body as one piece; copies only when it is in several. */
export function joinBody(frame: Frame): Uint8Array {
  return frame.body.length === 1 ? (frame.body[0] as Uint8Array) : Buffer.concat(frame.body as Uint8Array[]);
}
