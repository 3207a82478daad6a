import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { awaitWithin, onAbort, startTimer, type WaitOptions, watchBounds } from "../../src/waiting/wait.ts";
import { FakeBroker } from "../support/fake-broker.ts";

/** Begins a wait. Returns it with its two ways to settle, and with what it did. */
function wait(options: WaitOptions = {}) {
  const broker = new FakeBroker();
  const state = { started: 0, stopped: 0 };
  let resolve!: (value: string) => void;
  let reject!: (error: unknown) => void;
  const promise = awaitWithin<string>(
    broker,
    options,
    () => "test",
    (...ends) => {
      state.started += 1;
      [resolve, reject] = ends;
    },
    () => {
      state.stopped += 1;
    },
  );
  promise.catch(() => undefined);
  return { broker, state, promise, resolve, reject };
}

test("awaitWithin resolves with the first value; later ones have no effect", async () => {
  const { broker, state, promise, resolve, reject } = wait();
  assert.equal(broker.holds, 1);
  resolve("first");
  resolve("second");
  reject(new Error("third"));
  assert.equal(await promise, "first");
  assert.deepEqual([broker.holds, state], [0, { started: 1, stopped: 1 }]);
});

test("awaitWithin rejects with the error itself", async () => {
  const { broker, state, promise, resolve, reject } = wait({ timeoutMs: 60_000 });
  const error = { not: "even an Error" };
  reject(error);
  resolve("late");
  await assert.rejects(promise, (thrown) => thrown === error);
  assert.deepEqual([broker.holds, state.stopped], [0, 1]);
});

test("awaitWithin rejects with a TimeoutError that names the wait, and not before its time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { broker, state, promise, resolve } = wait({ timeoutMs: 100 });
  t.mock.timers.tick(99);
  assert.equal(state.stopped, 0);
  t.mock.timers.tick(1);
  resolve("late");
  await assert.rejects(promise, {
    name: "TimeoutError",
    code: "ERR_TIMEOUT",
    message: "Cannot test: no answer within 100 ms",
  });
  assert.deepEqual([broker.holds, state.stopped], [0, 1]);
});

test("awaitWithin waits for ever if timeoutMs is longer than a timer can run", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const timeoutMs of [Number.POSITIVE_INFINITY, 0x80000000]) {
    const { promise, resolve, state } = wait({ timeoutMs });
    t.mock.timers.tick(10_000);
    assert.equal(state.stopped, 0);
    resolve("value");
    assert.equal(await promise, "value");
  }
});

test("awaitWithin leaves no timer and no listener behind", async () => {
  const { signal } = new AbortController();
  const before = process.getActiveResourcesInfo().filter((type) => type === "Timeout").length;
  const waits = [wait({ timeoutMs: 60_000, signal }), wait({ timeoutMs: 60_000, signal })] as const;
  assert.equal(getEventListeners(signal, "abort").length, 1);
  waits[0].resolve("value");
  waits[1].reject(new Error("failed"));
  await Promise.allSettled(waits.map(({ promise }) => promise));
  assert.equal(getEventListeners(signal, "abort").length, 0);
  assert.equal(process.getActiveResourcesInfo().filter((type) => type === "Timeout").length, before);
});

test("awaitWithin rejects with the reason of a signal that aborts", async () => {
  const controller = new AbortController();
  const { broker, state, promise, resolve } = wait({ signal: controller.signal });
  const reason = new Error("changed my mind");
  controller.abort(reason);
  resolve("late");
  await assert.rejects(promise, (thrown) => thrown === reason);
  assert.deepEqual([broker.holds, state.stopped], [0, 1]);
});

test("awaitWithin does not start if the signal has already aborted", async () => {
  const { broker, state, promise } = wait({ signal: AbortSignal.abort("over") });
  await assert.rejects(promise, (thrown) => thrown === "over");
  assert.deepEqual([broker.holds, state], [0, { started: 0, stopped: 0 }]);
});

test("awaitWithin rejects with the error that start throws, and calls stop", async () => {
  const broker = new FakeBroker();
  let stopped = 0;
  const promise = awaitWithin(
    broker,
    { timeoutMs: 60_000 },
    () => "test",
    () => {
      throw new TypeError("cannot start");
    },
    () => {
      stopped += 1;
    },
  );
  await assert.rejects(promise, { name: "TypeError", message: "cannot start" });
  assert.deepEqual([broker.holds, stopped], [0, 1]);
});

test("awaitWithin takes a value that start gives at once", async () => {
  const broker = new FakeBroker();
  let stopped = 0;
  const value = await awaitWithin<number>(
    broker,
    {},
    () => "test",
    (resolve) => resolve(1),
    () => {
      stopped += 1;
    },
  );
  assert.deepEqual([value, broker.holds, stopped], [1, 0, 1]);
});

test("startTimer sets no limit if the time is longer than a timer can run", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const fired: number[] = [];
  for (const ms of [5, 0x7fffffff, 0x80000000, 2 ** 53, Number.POSITIVE_INFINITY]) {
    startTimer(ms, () => fired.push(ms));
  }
  t.mock.timers.tick(5);
  assert.deepEqual(fired, [5]);
  t.mock.timers.tick(0x7fffffff);
  assert.deepEqual(fired, [5, 0x7fffffff]);
});

test("Hundreds of waits share one listener of a signal, which the last wait removes", () => {
  const abort = new AbortController();
  const reasons: unknown[] = [];
  const what = () => "test";
  const stops = Array.from({ length: 300 }, () =>
    watchBounds({ signal: abort.signal }, what, (reason) => reasons.push(reason)),
  );
  assert.equal(getEventListeners(abort.signal, "abort").length, 1);
  for (const stop of stops.slice(1)) stop();
  assert.equal(getEventListeners(abort.signal, "abort").length, 1);
  stops[0]?.();
  stops[0]?.();
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
  watchBounds({ signal: abort.signal }, what, (reason) => reasons.push(reason));
  abort.abort("enough");
  assert.deepEqual(reasons, ["enough"]);
});

test("onAbort calls each watcher once, and none that another watcher has stopped", () => {
  const abort = new AbortController();
  const told: string[] = [];
  const stopThird = (): void => stops[2]?.();
  const stops = ["first", "second", "third"].map((name) =>
    onAbort(abort.signal, () => {
      told.push(name);
      stopThird();
    }),
  );
  abort.abort();
  onAbort(abort.signal, () => told.push("late"));
  assert.deepEqual(told, ["first", "second", "late"]);
});
