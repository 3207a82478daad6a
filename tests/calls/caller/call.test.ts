import assert from "node:assert/strict";
import { test } from "node:test";
import { Receiver } from "../../../src/core/receiver.ts";
import { CallError, ChannelError, TimeoutError } from "../../../src/errors.ts";
import { ref } from "../../../src/functions/ref.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import type { Frame } from "../../../src/wire/frame.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { dispatchCalls, FakeFunctions } from "../../support/fake-functions.ts";
import { captureLogs, printed } from "../../support/fake-log-sink.ts";
import { masterAndChild } from "../../support/fake-tree.ts";

// The fake child does the work of these functions.
const add = (a: number, b: number): number => a + b;
const fail = (_message: string): void => undefined;
const first = (): string => "first";
const second = (): string => "second";
const third = (): string => "third";
const echo = <T>(value: T): T => value;

function calling() {
  const pair = masterAndChild();
  const functions = new FakeFunctions();
  pair.master.functions = functions;
  const started = dispatchCalls(pair.child, {
    add,
    first,
    second,
    third,
    echo,
    fail: (message: string) => {
      throw Object.assign(new RangeError(message), { code: "E_MINE" });
    },
  });
  return { ...pair, functions, started };
}

/** A promise's value if it is settled, or "pending", without waiting for it. */
const stateOf = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([promise, new Promise((resolve) => setImmediate(resolve, "pending"))]);

test("Context.call resolves with the value", async () => {
  const { master, context } = calling();
  assert.equal(await context.call(add, 2, 3), 5);
  assert.equal(master.fakeBroker.holds, 0);
});

test("Context.call sends [chain, module, path, arguments] to handle 101 with its own authority", async () => {
  const { context, wire } = calling();
  await context.call(add, 2, 3);
  const [{ dstId, srcId, authId, handle, replyTo, body }] = wire.left.sent as [Frame];
  assert.deepEqual(
    [dstId, srcId, authId, handle, replyTo],
    [1, 0, 0, Handle.CALL_FUNCTION, Handle.FIRST_REPLY],
  );
  assert.deepEqual(decodeValue(Buffer.concat(body)), [null, "file:///fake.js", ["add"], [2, 3]]);
});

test("Context.call takes a ref() without looking for its name", async () => {
  const { context, wire } = calling();
  await context.call(ref<typeof add>("file:///srv/tasks.ts", "add"), 2, 3);
  const [{ body }] = wire.left.sent as [Frame];
  assert.deepEqual(decodeValue(Buffer.concat(body)), [null, "file:///srv/tasks.ts", ["add"], [2, 3]]);
});

test("Context.call reads its arguments at once, so that later changes do not travel", async () => {
  const { context, functions } = calling();
  const modules = functions.hold("echo");
  const argument = { list: [1] };
  const call = context.call(echo<{ list: number[] }>, argument);
  argument.list.push(2);
  modules.resolve();
  assert.deepEqual(await call, { list: [1] });
});

test("Context.call rejects with a CallError: name, message, own properties, cause, and both stacks", async () => {
  const { context } = calling();
  const error: unknown = await context.call(fail, "100 % of %s").catch((thrown) => thrown);
  assert.ok(error instanceof CallError);
  assert.deepEqual([error.message, error.code], ["RangeError: 100 % of %s", "E_MINE"]);
  assert.ok(error.cause instanceof RangeError);
  assert.match(error.stack ?? "", /^CallError: RangeError: 100 % of %s\n/);
  const [, here = ""] = (error.stack ?? "").split("\n    at [child.1]\n");
  assert.match(here.split("\n")[0] ?? "", /call\.test/, "the first frame of this side is the caller's");
});

test("Context.call refuses an argument that cannot travel, with its path, and sends nothing", async () => {
  const { master, context, wire } = calling();
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  const cases: [unknown, RegExp][] = [
    [() => 1, /argument 0: a function/],
    [{ users: [{}, {}, { fn: () => 1 }] }, /argument 0\.users\[2\]\.fn: function fn/],
    [Symbol("s"), /argument 0: a symbol is not serialisable/],
    [cyclic, /argument 0\[0\]: /],
    [Promise.resolve(1), /argument 0: /],
  ];
  for (const [argument, message] of cases) {
    await assert.rejects(context.call(echo, argument), { name: "TypeError", message });
    assert.throws(() => context.callAsync(echo, argument), { name: "TypeError", message });
    assert.throws(() => context.callNoReply(echo, argument), { name: "TypeError", message });
  }
  await assert.rejects(context.call(add, 1, (() => 1) as never), {
    name: "TypeError",
    message: /argument 1: a function/,
  });
  assert.deepEqual([wire.left.sent.length, master.fakeBroker.holds], [0, 0]);
});

test("Context.call refuses values that are not functions, and functions without a name, before anything is sent", async () => {
  const { context, wire } = calling();
  for (const value of [undefined, null, "name", {}, 1]) {
    await assert.rejects(context.call(value as never), {
      name: "TypeError",
      message: `Cannot call ${String(value)} in child.1: it is not a function`,
    });
  }
  await assert.rejects(
    context.call(() => 1),
    { name: "TypeError", message: /without a name/ },
  );
  assert.equal(wire.left.sent.length, 0);
});

test("Context.call of a context that is gone rejects at once with the reason", async () => {
  const { master, context, wire, functions } = calling();
  wire.cut("child.1: the process was ended by SIGKILL");
  const gone = { name: "ChannelError", message: "child.1: the process was ended by SIGKILL" };
  await assert.rejects(context.call(first), gone);
  await assert.rejects(context.callAsync(first).get(), gone);
  context.callNoReply(first);
  assert.deepEqual([functions.prepared.includes("never"), master.fakeBroker.holds], [false, 0]);
});

test("Context.call of a context that never was rejects at once", async () => {
  const { master } = calling();
  await assert.rejects(master.contextById(77).call(first), {
    name: "ChannelError",
    message: "Cannot route message to context 77: no route from context 0",
  });
});

test("Context.call rejects when its context goes, before the call was sent and after", async () => {
  for (const isPrepared of [true, false]) {
    const { master, context, wire, functions, started } = calling();
    const modules = isPrepared ? undefined : functions.hold("first");
    wire.hold();
    const call = context.call(first);
    assert.equal(await stateOf(call), "pending");
    wire.cut("child.1: disconnected");
    await assert.rejects(call, { name: "ChannelError", message: "child.1: disconnected" });
    modules?.resolve();
    assert.deepEqual([started, master.fakeBroker.holds], [[], 0]);
  }
});

test("Context.call rejects when the router is shut down", async () => {
  const { master, context, wire } = calling();
  wire.hold();
  const call = context.call(first);
  master.endHandlers("The router was shut down");
  await assert.rejects(call, (error) => error instanceof ChannelError && /shut down/.test(error.message));
});

test("Context.call with timeoutMs gives up, and names function and context; the late reply does no harm", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { master, context, wire } = calling();
  wire.hold();
  const call = context.with({ timeoutMs: 100 }).call(first);
  t.mock.timers.tick(100);
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof TimeoutError);
    assert.equal(error.message, "Cannot call first of file:///fake.js in child.1: no answer within 100 ms");
    return true;
  });
  wire.release();
  assert.equal(await context.call(second), "second");
  assert.equal(master.fakeBroker.holds, 0);
});

test("Context.call is never sent if it is given up while it waits for its modules", async () => {
  const { context, functions, started } = calling();
  const modules = functions.hold("first");
  const controller = new AbortController();
  const call = context.with({ signal: controller.signal }).call(first);
  controller.abort(new Error("changed my mind"));
  await assert.rejects(call, /changed my mind/);
  modules.resolve();
  assert.equal(await context.call(second), "second");
  assert.deepEqual(started, ["second"]);
});

test("Calls leave in the order in which they were made, even if an earlier one waits for its modules", async () => {
  const { context, functions, started } = calling();
  const modules = functions.hold("first");
  const firstCall = context.call(first);
  const secondCall = context.callAsync(second);
  context.callNoReply(third);
  const lastCall = context.call(add, 1, 1);
  assert.equal(await stateOf(lastCall), "pending");
  assert.deepEqual(started, []);
  // The calls are prepared side by side.
  assert.deepEqual(functions.prepared, ["first", "second", "third", "add"]);
  modules.resolve();
  assert.deepEqual(await Promise.all([firstCall, lastCall]), ["first", 2]);
  assert.equal((await secondCall.get()).decode(), "second");
  assert.deepEqual(started, ["first", "second", "third", "add"]);
});

test("Calls leave in order whichever modules arrive first", async () => {
  const { context, functions, started } = calling();
  const [one, two] = [functions.hold("first"), functions.hold("second")];
  const calls = [context.call(first), context.call(second), context.call(third)];
  two.resolve();
  assert.equal(await stateOf(calls[1] as Promise<string>), "pending");
  one.resolve();
  assert.deepEqual(await Promise.all(calls), ["first", "second", "third"]);
  assert.deepEqual(started, ["first", "second", "third"]);
});

test("Calls to another context do not wait for this one's modules, and later calls leave at once again", async () => {
  const { master, context, functions, started } = calling();
  const modules = functions.hold("first");
  const call = context.call(first);
  await assert.rejects(master.contextById(77).call(second), ChannelError);
  modules.resolve();
  await call;
  await stateOf(call);
  assert.equal(context.outbox, undefined);
  const late = context.call(second);
  assert.deepEqual(started, ["first", "second"]);
  await late;
});

test("A call whose modules cannot be sent rejects with that error; later calls leave", async (t) => {
  const records = captureLogs(t);
  const { master, context, functions, started } = calling();
  const modules = functions.hold("first");
  const [failing, receiver] = [context.call(first), context.callAsync(first)];
  context.callNoReply(first);
  const behind = context.call(second);
  const error = new TypeError("syntax error in tasks.ts");
  modules.reject(error);
  await assert.rejects(failing, (thrown) => thrown === error);
  await assert.rejects(
    receiver.get().then((message) => message.decode()),
    { name: "CallError", message: "TypeError: syntax error in tasks.ts" },
  );
  assert.equal(await behind, "second");
  assert.deepEqual([started, master.fakeBroker.holds], [["second"], 0]);
  assert.deepEqual(printed(records), [
    "error: Call of first of file:///fake.js in child.1 failed: TypeError: syntax error in tasks.ts",
  ]);
});

test("Context.callAsync returns a receiver for one message, only from that context", async (t) => {
  captureLogs(t, "error");
  const { context } = calling();
  const receiver = context.callAsync(add, 2, 3);
  assert.ok(receiver instanceof Receiver);
  assert.equal((await receiver.get()).decode(), 5);
  await assert.rejects(receiver.get(), ChannelError);
});

test("Context.callAsync: the receiver's message throws the CallError", async () => {
  const { context } = calling();
  const message = await context.callAsync(fail, "there").get();
  assert.throws(() => message.decode(), { name: "CallError", message: "RangeError: there" });
});

test("Context.callAsync keeps nothing waiting if its receiver is discarded unread", async () => {
  const { master, context, started } = calling();
  context.callAsync(first);
  assert.deepEqual([started, master.fakeBroker.holds], [["first"], 0]);
});

test("Context.callNoReply asks for no reply", () => {
  const { context, wire, started } = calling();
  context.callNoReply(first);
  assert.deepEqual(started, ["first"]);
  assert.deepEqual([wire.left.sent[0]?.replyTo, wire.right.sent.length], [0, 0]);
});

test("Context.call from below is refused: no authority to run code in the master", async () => {
  const { master, child } = calling();
  dispatchCalls(master, { first });
  child.functions = new FakeFunctions();
  await assert.rejects(child.contextById(0).call(first), {
    name: "ChannelError",
    message: "Cannot deliver message to handle 101 of context 0: refused by policy",
  });
});
