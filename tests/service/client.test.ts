import assert from "node:assert/strict";
import { test } from "node:test";
import { CallError, ChannelError, MitogenError, TimeoutError } from "../../src/errors.ts";
import { AllowAny } from "../../src/service/exposed.ts";
import { Pool } from "../../src/service/pool.ts";
import { type Exposed, Service } from "../../src/service/service.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import type { Frame } from "../../src/wire/frame.ts";
import { masterAndChild } from "../support/fake-tree.ts";
import { failureOf, servicePair, stateOf } from "../support/service-pair.ts";

class Files extends Service {
  static override exposed: Record<string, Exposed> = { size: AllowAny, fail: AllowAny };
  size({ name }: { name: string }): number {
    return name.length;
  }
  fail(): never {
    throw new RangeError("no such file");
  }
}

class Named extends Files {
  static override serviceName = "files";
}

function filesInChild() {
  const pair = servicePair();
  new Pool(pair.child, [new Files(pair.child), new Named(pair.child)]);
  return pair;
}

const sentBy = (frames: readonly Frame[]) => frames.map(({ body }) => decodeValue(Buffer.concat(body)));

test("Context.callService sends [service, class, method, arguments] to handle 110, and returns the value", async () => {
  const { context, wire, master } = filesInChild();
  assert.equal(await context.callService(Files, "size", { name: "abc" }), 3);
  assert.equal(await context.callService(Named, "size", { name: "abcd" }), 4);
  assert.equal(await context.callService("files", "size", { name: "a" }), 1);
  assert.equal((await failureOf(context.callService("files", "fail"))).message, "RangeError: no such file");
  assert.deepEqual(sentBy(wire.left.sent), [
    ["file:///fake.js#Files", ["file:///fake.js", ["Files"]], "size", { name: "abc" }],
    ["files", ["file:///fake.js", ["Named"]], "size", { name: "abcd" }],
    ["files", null, "size", { name: "a" }],
    ["files", null, "fail", {}],
  ]);
  assert.ok(wire.left.sent.every(({ handle, authId }) => handle === 110 && authId === 0));
  assert.equal(master.fakeBroker.holds, 0);
});

test("Context.callServiceAsync returns a receiver of one message, with the value or the error", async () => {
  const { context } = filesInChild();
  assert.equal((await context.callServiceAsync(Files, "size", { name: "abc" }).get()).decode(), 3);
  const message = await context.callServiceAsync("files", "fail").get();
  assert.throws(() => message.decode(), CallError);
  assert.throws(() => context.callServiceAsync("files", "size", [] as never), TypeError);
});

test("Context.service returns an object with the methods that is not taken for a promise", async () => {
  const { context } = filesInChild();
  const files = context.service(Files);
  assert.equal(await files.size({ name: "abc" }), 3);
  assert.equal(await Promise.resolve(files), files);
  assert.equal(String(Object.prototype.toString.call(files)), "[object Object]");
});

test("Context.with bounds the wait for a service", async (t) => {
  const { context, wire } = filesInChild();
  wire.hold();
  // The fake broker keeps nothing alive, and timers by themselves do not.
  const alive = setInterval(() => undefined, 1000);
  t.after(() => clearInterval(alive));
  const bounded = context.with({ timeoutMs: 10 });
  const error = await failureOf(bounded.service(Files).size({ name: "a" }));
  assert.ok(error instanceof TimeoutError);
  assert.equal(
    error.message,
    "Cannot call size of service file:///fake.js#Files in child.1: no answer within 10 ms",
  );
  const signal = AbortSignal.abort(new Error("enough"));
  assert.equal(
    (await failureOf(context.with({ signal }).callService(Files, "size", { name: "a" }))).message,
    "enough",
  );
  wire.release();
  // A reply that nobody waits for any more is dropped.
  assert.equal(await context.service(Files).size({ name: "ab" }), 2);
});

test("Context.with bounds the receiver of callServiceAsync, by time and by signal, until it has its reply", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { context, wire, functions } = filesInChild();
  const controller = new AbortController();
  const { signal } = controller;
  const request = [Files, "size", { name: "a" }] as const;
  const answered = context.with({ timeoutMs: 100, signal }).callServiceAsync(...request);
  assert.equal((await answered.get()).decode(), 1);
  wire.hold();
  const timed = context.with({ timeoutMs: 100 }).callServiceAsync(...request);
  const aborted = context.with({ signal }).callServiceAsync(...request);
  const waiting = aborted.get();
  t.mock.timers.tick(100);
  controller.abort(new RangeError("enough"));
  await assert.rejects(timed.get(), {
    name: "TimeoutError",
    message: "Cannot call size of service file:///fake.js#Files in child.1: no answer within 100 ms",
  });
  await assert.rejects(waiting, RangeError);
  assert.equal(answered.endError, undefined);
  // A request that is given up before its module is there is never sent.
  const modules = functions.hold("Files");
  const sent = wire.left.sent.length;
  const late = context.with({ signal }).callServiceAsync(...request);
  modules.resolve();
  await assert.rejects(late.get(), RangeError);
  assert.equal(await stateOf(new Promise(() => undefined)), "pending");
  assert.equal(wire.left.sent.length, sent);
  assert.throws(() => context.with({ timeoutMs: -1 }).callServiceAsync(...request), RangeError);
});

test("the module of the class goes ahead of a request, and the library part ahead of one by name", async () => {
  const { context, functions, wire } = filesInChild();
  const modules = functions.hold("Files");
  const call = context.callService(Files, "size", { name: "abc" });
  assert.equal(await stateOf(call), "pending");
  assert.equal(wire.left.sent.length, 0);
  modules.resolve();
  assert.equal(await call, 3);
  await context.callService("files", "size", { name: "a" });
  assert.deepEqual(functions.prepared, ["Files", ""]);
  functions.hold("Files").reject(new Error("cannot be compiled"));
  assert.equal(
    (await failureOf(context.callService(Files, "size", { name: "a" }))).message,
    "cannot be compiled",
  );
  functions.hold("Files").reject(new Error("cannot be compiled"));
  const message = await context.callServiceAsync(Files, "size", { name: "a" }).get();
  assert.throws(() => message.decode(), /cannot be compiled/);
});

test("the loss of a context ends waits for its services", async () => {
  const { context, wire } = filesInChild();
  wire.hold();
  const waiting = failureOf(context.callService(Files, "size", { name: "a" }));
  const receiver = context.callServiceAsync(Files, "size", { name: "a" });
  wire.cut("it broke");
  assert.ok((await waiting) instanceof ChannelError);
  await assert.rejects(receiver.get(), ChannelError);
  assert.ok((await failureOf(context.callService(Files, "size", { name: "a" }))) instanceof ChannelError);
});

test("a context without a pool answers with a dead message", async () => {
  const { context, master } = servicePair();
  for (const each of [context, master.myself()]) {
    const error = await failureOf(each.callService("files", "size"));
    assert.ok(error instanceof ChannelError);
    assert.match(error.message, /handle 110 of context \d: no such handle/);
  }
});

test("anything that is not a service, or not a method's name, is refused before anything is sent", async () => {
  const { context, wire } = servicePair();
  for (const service of [Date, () => 1, undefined, {}, Service]) {
    const error = await failureOf(context.callService(service as never, "size" as never));
    assert.ok(error instanceof TypeError);
    assert.match(error.message, /a service must be a subclass of Service, or the name of a service/);
  }
  assert.match((await failureOf(context.callService("files", 5 as never))).message, /it is not a name/);
  assert.equal(wire.left.sent.length, 0);
});

test("a router without the library's features throws an error with the cure", async () => {
  const { context, master } = masterAndChild();
  master.features = undefined;
  assert.throws(() => context.callService("files", "size"), MitogenError);
  assert.throws(() => context.with({}).service(Files), /no module of this context imports "mitogen"/);
});
