import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { Message } from "../../src/core/message.ts";
import { hand, ownPieces, ThreadLink } from "../../src/links/thread-link.ts";
import { newThreadState } from "../../src/links/thread-state.ts";
import { BrokerLink } from "../../src/remote/broker-link.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { FakeRouter } from "../support/fake-tree.ts";

const LARGE = 100_000;

const frame = (body: readonly Uint8Array[]): Frame => ({
  encoding: Encoding.CBOR,
  ...{ dstId: 1, srcId: 0, authId: 0, handle: 2000, replyTo: 0 },
  body,
});

/** Returns what is posted, as [length, whether it moves]. Checks that it is all of the pieces. */
function posted(pieces: readonly Uint8Array[]): [number, boolean][] {
  const found: [number, boolean][] = [];
  const all: Uint8Array[] = [];
  hand(pieces, (bytes, moved) => {
    assert.ok(moved.length === 0 || (moved[0] === bytes.buffer && moved[0].byteLength === bytes.length));
    found.push([bytes.length, moved.length > 0]);
    all.push(bytes);
  });
  assert.deepEqual(Buffer.concat(all), Buffer.concat(pieces));
  return found;
}

test("hand moves large pieces to the other thread, and joins small ones", () => {
  const small = Buffer.alloc(10, 1);
  const large = Buffer.alloc(LARGE, 2);
  assert.deepEqual(posted([small, small, large, small]), [
    [20, false],
    [LARGE, true],
    [10, false],
  ]);
  assert.deepEqual(posted([]), []);
});

test("hand copies a view, because others may use the memory around it", () => {
  const whole = Buffer.alloc(2 * LARGE, 3);
  hand([whole.subarray(0, LARGE)], (bytes) => assert.notEqual(bytes.buffer, whole.buffer));
});

test("ownPieces gives the memory of a frame away, and copies that of a message", () => {
  const body = encodeValue(Buffer.alloc(LARGE, 4));
  const pieces = encodeFrame(frame(body));
  assert.deepEqual(ownPieces(frame(body)), pieces);
  const router = new FakeRouter({ contextId: 0, parentIds: [] });
  const raw = new Uint8Array(LARGE);
  const messages = [
    new Message(router, frame(body)),
    Message.to(router, { dstId: 1, handle: 2000 }, { raw }),
  ];
  for (const message of messages) {
    const [copy, ...rest] = ownPieces(message);
    assert.deepEqual([copy?.length, rest], [Buffer.concat(encodeFrame(message)).length, []]);
    assert.ok(message.body.every(({ buffer }) => buffer !== copy?.buffer));
  }
});

test("ThreadLink.send returns false while the other thread does not deliver, and onDrained follows when it does", async () => {
  const { port1, port2 } = new MessageChannel();
  const words = newThreadState();
  const broker = new ThreadLink(port1, words);
  const main = new BrokerLink(port2, words);
  let delivered = 0;
  main.open({ onFrame: () => void delivered++, onClosed: () => undefined });
  const body = [new Uint8Array(LARGE)];
  let sent = 1;
  while (broker.send(frame(body.map((piece) => piece.slice())))) sent += 1;
  assert.ok(sent > 5 && sent < 20, `${sent} frames of ${LARGE} bytes were sent ahead`);
  assert.ok(broker.queuedBytes >= sent * LARGE);
  const drained = new Promise<void>((resolve) => {
    broker.open({ onFrame: () => undefined, onClosed: () => undefined, onDrained: resolve });
  });
  port1.on("message", () => broker.noteRead());
  await drained;
  assert.ok(broker.send(frame([])));
  while (delivered <= sent) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(broker.queuedBytes, 0);
  port1.close();
});
