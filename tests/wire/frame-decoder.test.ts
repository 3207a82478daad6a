import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../src/errors.ts";
import { Encoding, encodeFrame, type Frame, HEADER_BYTES } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";

const LIMIT = 1024;
const SAMPLE_BYTES = 2048;

/** Frames with and without bodies, a zero-length one at the end. */
const bodies = ["", "a", "hello", "", "", "x".repeat(40), ""];
const frames: Frame[] = bodies.map((body, index) => ({
  encoding: index % 2 === 0 ? Encoding.CBOR : Encoding.RAW,
  dstId: index,
  srcId: 0x01020304,
  authId: 0xfffefdfc,
  handle: 1000 + index,
  replyTo: index * 7,
  body: [Buffer.from(body)],
}));
const stream = Buffer.concat(frames.flatMap(encodeFrame));

function decode(chunks: readonly Buffer[], limit = LIMIT): Frame[] {
  const decoder = new FrameDecoder(limit);
  const found: Frame[] = [];
  for (const chunk of chunks) decoder.push(chunk, (frame) => found.push(frame));
  return found;
}

function header(length: number): Buffer {
  return Buffer.from(
    `4d4a000000010000000200000003000000650000000${0}${length.toString(16).padStart(8, "0")}`,
    "hex",
  );
}

function refuses(push: () => void, pattern: RegExp): ProtocolError {
  let thrown: unknown;
  try {
    push();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof ProtocolError, `threw ${thrown}`);
  assert.match(thrown.message, pattern);
  return thrown;
}

test("FrameDecoder reads the fields where docs/protocol.md puts them", () => {
  const bytes = Buffer.from("4d4b0000000100000002000000030000006501020304000000026869", "hex");
  assert.deepEqual(decode([bytes]), [
    {
      encoding: Encoding.RAW,
      dstId: 1,
      srcId: 2,
      authId: 3,
      handle: 101,
      replyTo: 0x01020304,
      body: [Buffer.from("hi")],
    },
  ]);
});

test("FrameDecoder yields the same frames wherever the stream is cut in two", () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    assert.deepEqual(decode([stream.subarray(0, cut), stream.subarray(cut)]), frames, `cut at ${cut}`);
  }
});

test("FrameDecoder yields the same frames wherever the stream is cut in three", () => {
  for (let first = 0; first <= stream.length; first += 1) {
    for (let second = first; second <= stream.length; second += 3) {
      const chunks = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)];
      assert.deepEqual(decode(chunks), frames, `cut at ${first} and ${second}`);
    }
  }
});

test("FrameDecoder yields the same frames from single bytes", () => {
  assert.deepEqual(decode([...stream].map((byte) => Buffer.from([byte]))), frames);
});

test("FrameDecoder yields a zero-length frame with the last byte of its header", () => {
  const whole = header(0);
  for (let cut = 0; cut < HEADER_BYTES; cut++) {
    const decoder = new FrameDecoder(LIMIT);
    const found: Frame[] = [];
    decoder.push(whole.subarray(0, cut), (frame) => found.push(frame));
    assert.equal(found.length, 0);
    decoder.push(whole.subarray(cut), (frame) => found.push(frame));
    assert.equal(found.length, 1, `cut at ${cut}`);
    assert.deepEqual(found[0]?.body, [Buffer.alloc(0)]);
    assert.equal(decoder.pendingBytes, 0);
  }
});

test("FrameDecoder.pendingBytes counts the bytes held of an incomplete frame", () => {
  const decoder = new FrameDecoder(LIMIT);
  const pending = [header(3), Buffer.from("ab"), Buffer.from("c")]
    .flatMap((chunk) => [...chunk].map((byte) => Buffer.from([byte])))
    .map((byte) => {
      decoder.push(byte, () => undefined);
      return decoder.pendingBytes;
    });
  assert.deepEqual(pending, [...Array.from({ length: 28 }, (_, index) => index + 1), 0]);
});

test("FrameDecoder takes a body of exactly maxMessageBytes", () => {
  const body = Buffer.alloc(LIMIT, 1);
  assert.deepEqual(decode([header(LIMIT), body])[0]?.body, [body]);
});

test("FrameDecoder refuses a body over maxMessageBytes with its header, before anything is stored", () => {
  // There would not even be memory for the largest of these.
  for (const length of [LIMIT + 1, 0x7fffffff, 0xffffffff]) {
    for (let cut = 0; cut < HEADER_BYTES; cut++) {
      const decoder = new FrameDecoder(LIMIT);
      const bytes = header(length);
      decoder.push(bytes.subarray(0, cut), () => undefined);
      refuses(
        () => decoder.push(bytes.subarray(cut), () => undefined),
        new RegExp(`body of ${length} bytes exceeds maxMessageBytes ${LIMIT}`),
      );
      assert.ok(decoder.pendingBytes <= HEADER_BYTES);
    }
  }
});

test("FrameDecoder refuses an unknown magic as soon as its two bytes are there", () => {
  for (const magic of ["4d49", "4d4d", "0000", "ffff", "5353", "4e4a"]) {
    const bytes = Buffer.from(magic, "hex");
    const pattern = new RegExp(`bad magic 0x${bytes.readUInt16BE().toString(16)},`);
    refuses(() => decode([bytes]), pattern);
    refuses(() => decode([bytes.subarray(0, 1), bytes.subarray(1)]), pattern);
    refuses(() => decode([header(0), bytes]), pattern);
    refuses(() => decode([header(1), Buffer.from("x"), bytes]), pattern);
    refuses(() => decode([Buffer.concat([header(0), bytes, Buffer.alloc(100)])]), pattern);
  }
});

test("FrameDecoder shows at most 2 KiB of the bytes it refused, escaped", () => {
  for (const junk of [
    Buffer.alloc(100_000),
    Buffer.alloc(100_000, 0xff),
    Buffer.alloc(100_000, "\x1b[2J"),
    Buffer.alloc(100_000, 0x9b),
  ]) {
    const { message } = refuses(() => decode([junk]), /something else wrote to the link: "/);
    const sample = message.slice(message.indexOf('"'));
    assert.ok(sample.length <= SAMPLE_BYTES, `${sample.length}`);
    assert.ok(sample.length > SAMPLE_BYTES / 2);
    assert.doesNotMatch(sample, /[\x00-\x1f\x7f-\x9f]/);
  }
  const { message } = refuses(() => decode([Buffer.from("Permission denied\n")]), /bad magic 0x5065/);
  assert.ok(message.endsWith('"Permission denied\\n"'), message);
});

test("FrameDecoder gives a body that came in one chunk as a view of that chunk", () => {
  const chunk = Buffer.concat([header(5), Buffer.from("hello"), header(0)]);
  const [frame] = decode([chunk]);
  const body = frame?.body[0] as Buffer;
  assert.equal(body.buffer, chunk.buffer);
  assert.equal(body.byteOffset, chunk.byteOffset + HEADER_BYTES);
});

test("FrameDecoder gives a body that came whole after its header as a view, and one that came in pieces in its own memory", () => {
  const body = Buffer.alloc(1000, 7);
  const [whole] = decode([header(body.length), body]);
  assert.equal(whole?.body[0]?.buffer, body.buffer);
  const [cut] = decode([header(body.length), body.subarray(0, 1), body.subarray(1)]);
  assert.deepEqual(cut?.body, [body]);
  assert.equal(cut?.body[0]?.buffer.byteLength, body.length);
});

test("FrameDecoder keeps nothing of a chunk that ends inside a frame", () => {
  for (const cut of [1, 10, HEADER_BYTES, HEADER_BYTES + 2]) {
    const bytes = Buffer.concat([header(5), Buffer.from("hello")]);
    const decoder = new FrameDecoder(LIMIT);
    const found: Frame[] = [];
    const first = Buffer.from(bytes.subarray(0, cut));
    decoder.push(first, (frame) => found.push(frame));
    first.fill(0); // The owner uses the memory again.
    decoder.push(bytes.subarray(cut), (frame) => found.push(frame));
    assert.deepEqual(found[0]?.body, [Buffer.from("hello")]);
    assert.equal(found[0]?.handle, 101);
  }
});

test("FrameDecoder gives frames to onFrame before it looks at the bytes after them", () => {
  const found: Frame[] = [];
  const decoder = new FrameDecoder(LIMIT);
  const bytes = Buffer.concat([header(0), header(0), Buffer.from("junk")]);
  refuses(() => decoder.push(bytes, (frame) => found.push(frame)), /bad magic/);
  assert.equal(found.length, 2);
});

test("FrameDecoder answers random bytes with frames or a ProtocolError, nothing else", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(stream);
    for (let i = random(3); i >= 0; i--) bytes[random(bytes.length)] = random(256);
    const decoder = new FrameDecoder(LIMIT);
    try {
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + random(60);
        decoder.push(bytes.subarray(at, end), (frame) =>
          assert.ok((frame.body[0] as Buffer).length <= LIMIT),
        );
        assert.ok(decoder.pendingBytes <= HEADER_BYTES + LIMIT);
        at = end;
      }
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
      refused += 1;
    }
  }
  assert.ok(refused > 100 && refused < 2000, `${refused} of 2000 refused`);
});

test("FrameDecoder copies bodies from lent chunks, except those of parts", () => {
  const part: Frame = { ...(frames[0] as Frame), encoding: Encoding.PART, body: [Buffer.alloc(40_000, 7)] };
  const sent = [...frames, part, ...frames, part];
  const bytes = Buffer.concat(sent.flatMap(encodeFrame));
  for (const step of [1, 7, HEADER_BYTES, 1000, 39_999, bytes.length]) {
    const decoder = new FrameDecoder(100_000, true);
    const memory = Buffer.alloc(bytes.length);
    const found: Frame[] = [];
    const inTime: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += step) {
      const length = bytes.copy(memory, 0, at, at + step);
      decoder.push(memory.subarray(0, length), (frame) => {
        found.push(frame);
        inTime.push(Buffer.concat(frame.body));
      });
      // The next read overwrites the memory.
      memory.fill(0xee);
    }
    assert.deepEqual(
      inTime,
      sent.map(({ body }) => Buffer.concat(body)),
      `cut every ${step}`,
    );
    for (const [at, { encoding, body }] of found.entries()) {
      if (encoding !== Encoding.PART) assert.deepEqual(Buffer.concat(body), inTime[at], `cut every ${step}`);
    }
  }
});
