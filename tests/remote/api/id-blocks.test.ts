import assert from "node:assert/strict";
import { test } from "node:test";
import type { CoreRouter } from "../../../src/core/router.ts";
import { IdBlocks } from "../../../src/remote/api/id-blocks.ts";
import { Handle } from "../../../src/wire/handles.ts";

/**
 * The router of context 7. `requests` holds its requests to the master, which are answered in order when `answer`
 * is called.
 */
function contextSeven() {
  const requests: unknown[] = [];
  const waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  const master = {
    request: (handle: number, wanted: unknown) =>
      new Promise((resolve, reject) => {
        assert.equal(handle, Handle.ALLOCATE_ID);
        requests.push(wanted);
        waiting.push({ resolve, reject });
      }),
  };
  const router = { contextId: 7, contextById: () => master } as unknown as CoreRouter;
  return { blocks: new IdBlocks(router), requests, waiting };
}

test("IdBlocks asks once for many ids, and for each context separately", async () => {
  const { blocks, requests, waiting } = contextSeven();
  const ids = Promise.all([blocks.take(7), blocks.take(7), blocks.take(9), blocks.take(7)]);
  assert.deepEqual(requests, [null, 9]);
  waiting[0]?.resolve([100, 103]);
  waiting[1]?.resolve([200, 201]);
  assert.deepEqual(await ids, [100, 101, 200, 102]);
});

test("IdBlocks asks once for the next block, even if several calls find the last one empty", async () => {
  const { blocks, requests, waiting } = contextSeven();
  const ids = Promise.all([1, 2, 3, 4, 5].map(() => blocks.take(7)));
  waiting[0]?.resolve([100, 102]);
  while (requests.length < 2) await Promise.resolve();
  waiting[1]?.resolve([300, 310]);
  assert.deepEqual(
    (await ids).sort((a, b) => a - b),
    [100, 101, 300, 301, 302],
  );
  assert.equal(requests.length, 2);
});

test("IdBlocks.reserve gets ids if the last ones have been used, because nobody can be asked after a detach", async () => {
  const { blocks, requests, waiting } = contextSeven();
  const first = blocks.take(7);
  waiting[0]?.resolve([100, 101]);
  assert.equal(await first, 100);
  const reserved = blocks.reserve(7);
  while (requests.length < 2) await new Promise(setImmediate);
  waiting[1]?.resolve([200, 202]);
  await reserved;
  assert.equal(await blocks.take(7), 200);
  assert.equal(requests.length, 2);
});

test("IdBlocks rejects all waiting calls after a refusal, and asks again the next time", async () => {
  const { blocks, requests, waiting } = contextSeven();
  const failing = Promise.allSettled([blocks.take(7), blocks.take(7)]);
  waiting[0]?.reject(new Error("refused"));
  assert.deepEqual(
    (await failing).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  const next = blocks.take(7);
  assert.equal(requests.length, 2);
  waiting[1]?.resolve([1, 2]);
  assert.equal(await next, 1);
});
