import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Deferred } from "../../../src/waiting/deferred.ts";
import { fakeChild } from "../../support/fake-child.ts";

// The fake child does the work of this function.
async function* feed(): AsyncIterable<number> {}

/** A stream whose values are made by the test. */
function feeding() {
  const waits: Deferred<number>[] = [];
  const child = fakeChild({
    feed: async function* () {
      for (;;) {
        const wait = new Deferred<number>();
        waits.push(wait);
        yield await wait.promise;
      }
    },
  });
  const push = async (value: number): Promise<void> => {
    while (waits.length === 0) await turn();
    waits.shift()?.resolve(value);
  };
  return { ...child, push };
}

test("Context.with({ timeoutMs }).stream bounds each wait for a value, but neither all of them nor the reader's time", {
  timeout: 60_000,
}, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { context, push, master } = feeding();
  const values = context.with({ timeoutMs: 100 }).stream(feed);
  for (const value of [1, 2, 3]) {
    const next = values.next();
    await push(value - 0.5);
    assert.equal((await next).value, value - 0.5);
    const slow = values.next();
    await turn();
    t.mock.timers.tick(90);
    await push(value);
    assert.equal((await slow).value, value);
    t.mock.timers.tick(5000);
  }
  const late = values.next();
  await turn();
  t.mock.timers.tick(99);
  await turn();
  t.mock.timers.tick(1);
  await assert.rejects(late, {
    name: "TimeoutError",
    code: "ERR_TIMEOUT",
    message: "Cannot stream feed of file:///fake.js in child.1: no value within 100 ms",
  });
  assert.equal(master.fakeBroker.holds, 0);
});

test("Streams that share a signal add one listener to it, and none is left when they have ended", {
  timeout: 60_000,
}, async () => {
  const { context, push } = feeding();
  const abort = new AbortController();
  const streams = Array.from({ length: 20 }, () => context.with({ signal: abort.signal }).stream(feed));
  const reading = streams.map((each) => each.next());
  for (const _ of streams) await push(1);
  await Promise.all(reading);
  assert.equal(getEventListeners(abort.signal, "abort").length, 1);
  const rest = streams.slice(1).map((each) => assert.rejects(each.next(), /enough/));
  await streams[0]?.return?.();
  abort.abort(new Error("enough"));
  await Promise.all(rest);
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
});
