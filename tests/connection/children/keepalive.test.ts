/** Which children are asked for a sign of life. Tests of real processes are in e2e/dead-parents.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChildLink } from "../../../src/connection/children/child-link.ts";
import { Keepalive } from "../../../src/connection/children/keepalive.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { FakeLink } from "../../support/fake-link.ts";
import { top } from "../../support/frame-routers.ts";

const INTERVAL_MS = 1000;

/** A router with a child whose sign of life is `lifeSign()`, watched by the mocked clock. */
function watched(t: { mock: typeof import("node:test").mock }, lifeSign: () => number) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { router, one } = top();
  const link = Object.defineProperty(one, "lifeSign", { get: lifeSign });
  const keepalive = new Keepalive(router, new Map([[1, link as unknown as ChildLink]]), INTERVAL_MS);
  keepalive.start();
  return { one, tick: () => t.mock.timers.tick(INTERVAL_MS) };
}

const pings = ({ sent }: FakeLink): number => sent.filter(({ handle }) => handle === Handle.PING).length;

test("Keepalive asks a child that is silent, and gives it up at the third interval", (t) => {
  const { one, tick } = watched(t, () => 4711);
  let reason: string | undefined;
  one.abort = (why) => {
    reason = why;
  };
  for (const count of [0, 1, 2]) {
    tick();
    assert.deepEqual([pings(one), reason], [count, undefined]);
  }
  tick();
  assert.deepEqual([pings(one), reason], [2, "one: no answer for 3000 ms"]);
});

test("Keepalive does not ask a child that sends something", (t) => {
  let bytes = 0;
  const { one, tick } = watched(t, () => ++bytes);
  for (let i = 0; i < 10; i++) tick();
  assert.equal(pings(one), 0);
});

test("Keepalive sends signs of life to a child whose link is not read, and never gives it up", (t) => {
  const { one, tick } = watched(t, () => Number.NaN);
  one.abort = () => assert.fail("it was given up");
  for (let i = 1; i <= 10; i++) {
    tick();
    assert.equal(pings(one), i);
  }
});
