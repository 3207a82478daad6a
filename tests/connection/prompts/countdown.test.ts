import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Countdown } from "../../../src/connection/prompts/countdown.ts";

function mockTimers(t: TestContext): void {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(process, "uptime", () => Date.now() / 1000);
}

test("Countdown stands still while at least one caller holds it", (t) => {
  mockTimers(t);
  const onTime = t.mock.fn();
  const countdown = new Countdown(1000, onTime);
  t.mock.timers.tick(600);
  countdown.pause();
  t.mock.timers.tick(5000);
  countdown.pause();
  countdown.resume();
  t.mock.timers.tick(5000);
  countdown.resume();
  t.mock.timers.tick(399);
  assert.equal(onTime.mock.callCount(), 0);
  t.mock.timers.tick(1);
  assert.equal(onTime.mock.callCount(), 1);
  countdown.pause();
  countdown.resume();
  t.mock.timers.tick(3_600_000);
  assert.equal(onTime.mock.callCount(), 1, "it ends once");
});

test("Countdown ends when it is held for ten minutes", (t) => {
  mockTimers(t);
  const onTime = t.mock.fn();
  new Countdown(1000, onTime).pause();
  t.mock.timers.tick(599_999);
  assert.equal(onTime.mock.callCount(), 0);
  t.mock.timers.tick(1);
  assert.equal(onTime.mock.callCount(), 1);
});

test("Countdown does nothing once it is stopped, even if it was held", (t) => {
  mockTimers(t);
  const onTime = t.mock.fn();
  const countdown = new Countdown(1000, onTime);
  countdown.pause();
  countdown.stop();
  countdown.resume();
  t.mock.timers.tick(3_600_000);
  assert.equal(onTime.mock.callCount(), 0);
});
