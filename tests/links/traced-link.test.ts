import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { TracedLink } from "../../src/links/traced-link.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";

const frame = (change: Partial<Frame> = {}): Frame => ({
  encoding: Encoding.CBOR,
  ...{ dstId: 1, srcId: 2, authId: 2, handle: 2000, replyTo: 0 },
  body: [Buffer.from("hunter2")],
  ...change,
});
const bytesOf = (each: Frame): Buffer => Buffer.concat(encodeFrame(each));

/** A link that passes on all the bytes it can, and the frames that it has read. */
function passing(): { link: TracedLink; received: Frame[]; passed: () => number } {
  const link = new TracedLink("test", new PassThrough(), new PassThrough(), 1000);
  const received: Frame[] = [];
  let passed = 0;
  link.open({
    onFrame: (each) => received.push(each),
    onBytes: () => {
      passed += 1;
      return true;
    },
    onClosed: () => undefined,
  });
  return { link, received, passed: () => passed };
}

test("TracedLink logs frames at level io, without their bodies", (t) => {
  const records = captureLogs(t, "io");
  const { link, received, passed } = passing();
  link.send(frame());
  link.receive(bytesOf(frame({ replyTo: 1500 })));
  assert.deepEqual(printed(records), [
    "io: test: sent 33 bytes 2:0 -> 1:2000 auth 2",
    "io: test: received 33 bytes 2:1500 -> 1:2000 auth 2",
  ]);
  // Frames that were passed on as bytes would not be logged.
  assert.deepEqual([received.length, passed()], [1, 0]);
  const bytes = bytesOf(frame());
  assert.equal(link.sendBytes(bytes, 0, bytes.length), false);
});

test("TracedLink passes bytes on if nobody reads its log", (t) => {
  captureLogs(t, "debug");
  const { link, received, passed } = passing();
  const bytes = bytesOf(frame());
  link.receive(bytes);
  assert.deepEqual([received.length, passed(), link.sendBytes(bytes, 0, bytes.length)], [0, 1, true]);
});
