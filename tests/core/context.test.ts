import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Receiver } from "../../src/core/receiver.ts";
import { CallError, TimeoutError } from "../../src/errors.ts";
import { Handle } from "../../src/wire/handles.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { masterAndChild } from "../support/fake-tree.ts";

const ECHO = 2000;

test("Context.request rejects with the error in the reply", async () => {
  const { child, context } = masterAndChild();
  child.addHandler((message) => message.reply(new CallError("Error: refused")), { handle: ECHO });
  await assert.rejects(context.request(ECHO, 1), { name: "CallError", message: "Error: refused" });
});

test("Context.request refuses a value that cannot travel, and keeps neither a handle nor the program alive", async () => {
  const { master, child, context } = masterAndChild();
  await assert.rejects(context.request(ECHO, Symbol("no")), TypeError);
  assert.equal(master.fakeBroker.holds, 0);
  await assert.rejects(
    child.contextById(0).request(Handle.FIRST_REPLY, 1),
    /handle \d+ of context 0: no such handle/,
    "it was its handle",
  );
});

test("Context.request gives up after timeoutMs; a later reply is dropped", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { master, child, context } = masterAndChild();
  const requests = new Receiver(child, { handle: ECHO });
  const wait = context.request(ECHO, 1, { timeoutMs: 50 });
  t.mock.timers.tick(50);
  await assert.rejects(
    wait,
    (error) => error instanceof TimeoutError && /Cannot reach child.1: no answer/.test(error.message),
  );
  (await requests.get()).reply("late");
  assert.equal(master.fakeBroker.holds, 0);
});

test("Context.request sends nothing if the signal has aborted, or if the context is gone", async () => {
  const { master, context, wire } = masterAndChild();
  const handlers = master.handlers.size;
  const reason = new Error("too late");
  await assert.rejects(
    context.request(2000, 1, { signal: AbortSignal.abort(reason) }),
    (thrown) => thrown === reason,
  );
  assert.equal(wire.left.sent.length, 0);
  wire.cut("child.1: it fell over");
  await assert.rejects(context.request(2000, 1), { name: "ChannelError", message: "child.1: it fell over" });
  assert.deepEqual([master.handlers.size, master.fakeBroker.holds], [handlers, 0]);
});

test("Context.request rejects with the reason when the context goes", async () => {
  const { child, context, wire } = masterAndChild();
  new Receiver(child, { handle: ECHO });
  const wait = context.request(ECHO, 1);
  wire.cut("child.1: disconnected");
  await assert.rejects(wait, { name: "ChannelError", message: "child.1: disconnected" });
});

test("Context.isConnected and onDisconnect report the end once, to all listeners that are left", async (t) => {
  const records = captureLogs(t, "error");
  const { context, wire } = masterAndChild();
  const told: string[] = [];
  const stop = context.onDisconnect(() => told.push("not any more"));
  context.onDisconnect((reason) => told.push(`first: ${reason}`));
  context.onDisconnect(async () => {
    throw new Error("its own business");
  });
  const stopLate = context.onDisconnect(() => told.push("stopped in time"));
  context.onDisconnect((reason) => told.push(`second: ${reason}`));
  stop();
  assert.equal(context.isConnected, true);
  wire.cut("child.1: it fell over");
  assert.equal(context.isConnected, false);
  assert.equal(told.length, 0, "never in the middle of what the router does");
  stopLate();
  await context.disconnected;
  await turn();
  assert.deepEqual(told, ["first: child.1: it fell over", "second: child.1: it fell over"]);
  assert.match(
    printed(records).join(),
    /child\.1: a function given to onDisconnect failed: Error: its own business/,
  );
  context.onDisconnect((reason) => told.push(`late: ${reason}`));
  await turn();
  assert.deepEqual(told.slice(2), ["late: child.1: it fell over"]);
  assert.throws(() => context.onDisconnect(1 as never), { code: "ERR_INVALID_ARG_TYPE" });
});

test("Context.disconnected is pending while the context lives", async () => {
  const { context } = masterAndChild();
  const first = await Promise.race([context.disconnected.then(() => "gone"), Promise.resolve("alive")]);
  assert.equal(first, "alive");
});
