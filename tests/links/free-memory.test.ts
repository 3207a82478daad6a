import assert from "node:assert/strict";
import { test } from "node:test";
import { freeMemory } from "../../src/links/free-memory.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, encodeFrame, type Frame, joinBody } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";

const header = { encoding: Encoding.CBOR, dstId: 1, srcId: 0, authId: 0, handle: 1000, replyTo: 0 };

/** The frames of `values` as they arrive when their bytes are read in pieces that end at `cuts`. */
function arriving(values: readonly unknown[], cuts: readonly number[] = []): Frame[] {
  const bytes = Buffer.concat(
    values.flatMap((value) => encodeFrame({ ...header, body: encodeValue(value) })),
  );
  const frames: Frame[] = [];
  const decoder = new FrameDecoder(1e7);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    // Each piece has its own memory, as reads from the system and posted messages have.
    decoder.push(Buffer.from(Uint8Array.from(bytes.subarray(from, to)).buffer), (frame) =>
      frames.push(frame),
    );
    from = to;
  }
  return frames;
}

const decoded = (frame: Frame): unknown => decodeValue(joinBody(frame));
const SIZES = [1, 5, 100, 1000, 70_000, 128 * 1024];

test("freeMemory frees a chunk that arrived alone, whole or in pieces", () => {
  for (const size of SIZES) {
    for (const cuts of [[], [10], [26], [27]]) {
      const [frame] = arriving([new Uint8Array(size).fill(1)], cuts) as [Frame];
      const chunk = decoded(frame) as Uint8Array;
      assert.equal(chunk.length, size);
      freeMemory(chunk);
      // Short pieces may have been copied.
      if (size >= 1000) assert.equal(chunk.length, 0, `${size} bytes, cut at ${cuts}`);
    }
  }
});

test("freeMemory frees nothing if other bytes arrived with the chunk, before or after it", () => {
  for (const size of SIZES) {
    for (const small of [null, 7, "", "abc", Uint8Array.of(1, 2, 3, 4, 5)]) {
      for (const at of [0, 1]) {
        const values: unknown[] = [small];
        values.splice(at, 0, new Uint8Array(size).fill(1));
        const frames = arriving(values);
        freeMemory(decoded(frames[at] as Frame) as Uint8Array);
        const left = decoded(frames[1 - at] as Frame);
        assert.deepEqual(
          left instanceof Uint8Array ? Uint8Array.from(left) : left,
          small,
          `beside ${size} bytes`,
        );
      }
    }
  }
});
