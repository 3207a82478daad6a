import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bodyLength,
  Encoding,
  encodeFrame,
  type Frame,
  HEADER_BYTES,
  joinBody,
} from "../../src/wire/frame.ts";

const INLINE_BYTES = 16 * 1024;
const frame = (change: Partial<Frame> = {}): Frame => ({
  encoding: Encoding.CBOR,
  dstId: 1,
  srcId: 2,
  authId: 3,
  handle: 101,
  replyTo: 1000,
  body: [],
  ...change,
});
const hexOf = (pieces: readonly Uint8Array[]) => Buffer.concat(pieces).toString("hex");

test("encodeFrame writes magic, dst, src, auth, handle, replyTo and length big-endian, then the body", () => {
  assert.equal(
    hexOf(encodeFrame(frame({ body: [Buffer.from([1, 2, 3])] }))),
    "4d4a" + // magic: one CBOR value
      "00000001" + // dst
      "00000002" + // src
      "00000003" + // auth
      "00000065" + // handle
      "000003e8" + // replyTo
      "00000003" + // length
      "010203",
  );
});

test("encodeFrame marks raw bodies by their magic", () => {
  assert.equal(
    hexOf(encodeFrame(frame({ encoding: Encoding.RAW, body: [Buffer.from("hi")] }))),
    "4d4b00000001000000020000000300000065000003e8000000026869",
  );
});

test("encodeFrame writes ids as unsigned 32-bit numbers", () => {
  const most = 0xffffffff;
  assert.equal(
    hexOf(encodeFrame(frame({ dstId: most, srcId: most, authId: most, handle: most, replyTo: most }))),
    `4d4a${"ff".repeat(20)}00000000`,
  );
  for (const field of ["dstId", "srcId", "authId", "handle", "replyTo"]) {
    for (const id of [-1, most + 1]) assert.throws(() => encodeFrame(frame({ [field]: id })), RangeError);
  }
});

test("encodeFrame writes a frame without a body as its header alone", () => {
  for (const body of [[], [new Uint8Array(0)], [new Uint8Array(0), new Uint8Array(0)]]) {
    const pieces = encodeFrame(frame({ body }));
    assert.equal(pieces.length, 1);
    assert.equal(pieces[0]?.length, HEADER_BYTES);
  }
});

test("encodeFrame joins a small body in pieces with its header", () => {
  const pieces = encodeFrame(frame({ body: [Buffer.from([1]), Buffer.from([2, 3]), Buffer.from([4])] }));
  assert.equal(pieces.length, 1);
  assert.equal(hexOf(pieces).slice(-16), "0000000401020304");
});

test("encodeFrame references a big body instead of copying it", () => {
  const body = [new Uint8Array(INLINE_BYTES), new Uint8Array([7])];
  const pieces = encodeFrame(frame({ body }));
  assert.equal(pieces.length, 3);
  assert.equal(pieces[1], body[0]);
  assert.equal(pieces[2], body[1]);
  assert.equal(hexOf([pieces[0] as Uint8Array]).slice(-8), "00004001");
  // One byte less is still joined.
  assert.equal(encodeFrame(frame({ body: [new Uint8Array(INLINE_BYTES)] })).length, 1);
});

test("bodyLength counts all pieces", () => {
  assert.equal(bodyLength(frame()), 0);
  assert.equal(bodyLength(frame({ body: [new Uint8Array(3), new Uint8Array(0), new Uint8Array(4)] })), 7);
});

test("joinBody returns a single piece unchanged and copies only several", () => {
  const piece = new Uint8Array([1, 2]);
  assert.equal(joinBody(frame({ body: [piece] })), piece);
  assert.deepEqual([...joinBody(frame({ body: [piece, new Uint8Array([3])] }))], [1, 2, 3]);
  assert.equal(joinBody(frame({ body: [] })).length, 0);
});
