import assert from "node:assert/strict";
import { test } from "node:test";
import { ChannelError } from "../../src/errors.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { Slots } from "../../src/waiting/slots.ts";
import { stateOf } from "../support/service-pair.ts";

test("Slots limits how many functions run, and starts the rest in order", async () => {
  const slots = new Slots(2);
  const started: number[] = [];
  const ends = [0, 1, 2, 3].map(() => new Deferred<void>());
  const runs = ends.map((end, index) =>
    slots.run(() => {
      started.push(index);
      return end.promise;
    }),
  );
  assert.deepEqual(started, [0, 1]);
  ends[1]?.reject(new Error("one failed"));
  await assert.rejects(runs[1] as Promise<void>, /one failed/);
  await stateOf(runs[2] as Promise<void>);
  assert.deepEqual(started, [0, 1, 2]);
  for (const end of ends) end.resolve();
  await Promise.all([runs[0], runs[2], runs[3]]);
  assert.deepEqual(started, [0, 1, 2, 3]);
});

test("Slots.close refuses waiting and later functions, and waits for running ones", async () => {
  const slots = new Slots(1);
  const end = new Deferred<string>();
  const running = slots.run(() => end.promise);
  const waiting = slots.run(() => "never");
  const closed = slots.close("closed");
  await assert.rejects(waiting, new ChannelError("closed"));
  await assert.rejects(
    slots.run(() => "never"),
    new ChannelError("closed"),
  );
  assert.equal(await stateOf(closed), "pending");
  end.resolve("ended");
  assert.equal(await running, "ended");
  await closed;
});

test("Slots.run can be given up while it waits, and only then", async () => {
  const slots = new Slots(1);
  const end = new Deferred<string>();
  const refusals: ((error: Error) => void)[] = [];
  let unwatched = 0;
  const watch = (refuse: (error: Error) => void) => {
    refusals.push(refuse);
    return () => void unwatched++;
  };
  const running = slots.run(() => end.promise, watch);
  assert.equal(refusals.length, 0, "it does not wait");
  const [second, third] = ["second", "third"].map((name) => slots.run(() => name, watch));
  refusals[0]?.(new Error("no longer"));
  await assert.rejects(second as Promise<string>, /no longer/);
  assert.deepEqual([slots.load, unwatched], [{ running: 1, waiting: 1 }, 1]);
  end.resolve("first");
  assert.deepEqual([await running, await third, unwatched], ["first", "third", 2]);
  refusals[1]?.(new Error("too late"));
  assert.deepEqual(slots.load, { running: 0, waiting: 0 });
});
