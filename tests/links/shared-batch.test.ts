import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { SharedBatch } from "../../src/links/shared-batch.ts";
import { BATCH_BYTES, newThreadState, Word } from "../../src/links/thread-state.ts";
import { Encoding, encodeFrame, type Frame, frameLength } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";

const frame = (handle: number, body = Buffer.from("x")): Frame => ({
  encoding: Encoding.RAW,
  ...{ dstId: 0, srcId: 1, authId: 1, handle, replyTo: 0 },
  body: [body],
});

function handlesOf(bytes: Uint8Array | undefined): number[] {
  const handles: number[] = [];
  new FrameDecoder(BATCH_BYTES).push(Buffer.from(bytes ?? []), ({ handle }) => handles.push(handle));
  return handles;
}

/** Returns one batch as both threads see it. */
function batches(): {
  main: SharedBatch;
  broker: SharedBatch;
  words: Int32Array;
  add: (handle: number) => boolean;
} {
  const words = newThreadState();
  const main = new SharedBatch(words);
  const add = (handle: number): boolean => main.add(frame(handle), frameLength(frame(handle)));
  return { main, broker: new SharedBatch(words), words, add };
}

test("SharedBatch gives the main thread the frames that it has added, once", () => {
  const { main, broker, add } = batches();
  assert.ok(add(1) && add(2));
  assert.deepEqual(
    Buffer.from(main.take()),
    Buffer.concat([1, 2].flatMap((handle) => encodeFrame(frame(handle)))),
  );
  assert.deepEqual([main.take().length, broker.isLeft, broker.rescue()?.length], [0, false, 0]);
});

test("SharedBatch gives the broker thread the frames that were left, and the main thread those added since", () => {
  const { main, broker, add } = batches();
  add(1);
  add(2);
  assert.equal(broker.isLeft, true);
  assert.deepEqual(handlesOf(broker.rescue()), [1, 2]);
  assert.equal(broker.isLeft, false);
  add(3);
  assert.deepEqual(handlesOf(broker.rescue()), [3]);
  add(4);
  assert.deepEqual(handlesOf(main.take()), [4]);
  add(5);
  assert.deepEqual(handlesOf(main.take()), [5]);
});

test("SharedBatch gives the broker thread no frames while a posted message has not been read", () => {
  const { main, broker, words, add } = batches();
  Atomics.store(words, Word.POSTED, 1);
  add(1);
  assert.deepEqual([broker.rescue(), broker.isLeft], [undefined, true]);
  Atomics.store(words, Word.POSTED, 0);
  assert.deepEqual(handlesOf(broker.rescue()), [1]);
  assert.equal(main.take().length, 0);
});

test("SharedBatch has room for a number of bytes, and refuses more without a trace", () => {
  const { main, add } = batches();
  let added = 0;
  while (add(added)) added += 1;
  assert.equal(added, Math.floor(BATCH_BYTES / frameLength(frame(0))));
  assert.equal(handlesOf(main.take()).length, added);
  assert.ok(add(0));
});

test("SharedBatch loses nothing and gives nothing twice while one thread adds and takes frames and another rescues them", async () => {
  const COUNT = 20_000;
  const words = newThreadState();
  const main = new SharedBatch(words);
  const worker = new Worker(
    `const { parentPort, workerData: { words, url } } = require("node:worker_threads");
    import(url).then(({ SharedBatch }) => {
      const batch = new SharedBatch(words);
      const found = [];
      while (Atomics.load(words, ${Word.FLUSHED}) === 0 || batch.isLeft) {
        const bytes = batch.isLeft ? batch.rescue() : undefined;
        if (bytes !== undefined && bytes.length > 0) found.push(bytes);
      }
      parentPort.postMessage(found);
    });`,
    {
      eval: true,
      workerData: { words, url: new URL("../../src/links/shared-batch.js", import.meta.url).href },
    },
  );
  const message = once(worker, "message");
  const seen = new Uint8Array(COUNT);
  const note = (bytes: Uint8Array): void => {
    for (const handle of handlesOf(bytes)) (seen[handle] as number)++;
  };
  await once(worker, "online");
  for (let handle = 0; handle < COUNT; handle++) {
    const each = frame(handle);
    while (!main.add(each, frameLength(each))) note(main.take());
    if (handle % 7 === 0) note(main.take());
  }
  note(main.take());
  Atomics.store(words, Word.FLUSHED, 1);
  const [rescued] = (await message) as [Uint8Array[]];
  for (const bytes of rescued) note(bytes);
  assert.ok(seen.every((times) => times === 1));
});
