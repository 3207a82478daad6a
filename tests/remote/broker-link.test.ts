import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { newThreadState } from "../../src/links/thread-state.ts";
import { BrokerLink } from "../../src/remote/broker-link.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";

const WAITS = 1;
const ANSWER = 2;

function frame(handle: number, bytes = 0): Frame {
  const body = bytes > 0 ? [Buffer.alloc(bytes, handle)] : [];
  return { encoding: Encoding.RAW, dstId: 1, srcId: 0, authId: 0, handle, replyTo: 0, body };
}

test("BrokerLink delivers frames in order if they come with one whose handler waits synchronously, or meanwhile", async () => {
  const { port1, port2 } = new MessageChannel();
  const link = new BrokerLink(port1, newThreadState());
  const seen: [handle: number, bytes: number][] = [];
  let isAnswered = false;
  link.open({
    onFrame({ handle, body }) {
      seen.push([handle, body.reduce((sum, { length }) => sum + length, 0)]);
      if (handle === WAITS) {
        link.waitFor(
          (urgent) => urgent.handle === ANSWER,
          () => isAnswered,
        );
      }
      isAnswered ||= handle === ANSWER;
    },
    onClosed: () => undefined,
  });
  // The broker thread posts frames like this: a large body moves in a message of its own, after its header.
  const [header, body] = encodeFrame(frame(11, 40_000)) as [Buffer, Buffer];
  port2.postMessage(Buffer.concat([frame(WAITS), frame(10)].flatMap(encodeFrame).concat(header)));
  port2.postMessage(new Uint8Array(body));
  port2.postMessage(Buffer.concat(encodeFrame(frame(12))));
  port2.postMessage(Buffer.concat(encodeFrame(frame(ANSWER))));
  port2.postMessage(Buffer.concat(encodeFrame(frame(13))));
  while (seen.length < 6) await turn();
  port1.close();
  assert.deepEqual(seen, [
    [WAITS, 0],
    [ANSWER, 0],
    [10, 0],
    [11, 40_000],
    [12, 0],
    [13, 0],
  ]);
});
