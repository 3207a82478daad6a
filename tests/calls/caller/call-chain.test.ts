import assert from "node:assert/strict";
import { test } from "node:test";
import { CallChain } from "../../../src/calls/caller/call-chain.ts";
import { CallError, ChannelError, TimeoutError } from "../../../src/errors.ts";
import { Deferred } from "../../../src/waiting/deferred.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import type { Frame } from "../../../src/wire/frame.ts";
import { fakeChild } from "../../support/fake-child.ts";
import { captureLogs, printed } from "../../support/fake-log-sink.ts";

// The fake child does the work of these functions.
const note = (_name: string): string => "";
const later = async (_name: string): Promise<string> => "";
const fail = (_message: string): void => undefined;
const notTravelling = (): void => undefined;

function chained(options?: { hasLibrary?: boolean }) {
  const ran: string[] = [];
  const gates = new Map<string, Deferred<string>>();
  const child = fakeChild(
    {
      note: (name: string) => {
        ran.push(name);
        return name;
      },
      later: (name: string) => {
        ran.push(`${name} begins`);
        const gate = new Deferred<string>();
        gates.set(name, gate);
        return gate.promise.then((value) => {
          ran.push(`${name} ends`);
          return value;
        });
      },
      fail: (message: string) => {
        ran.push(message);
        throw new Error(message);
      },
      notTravelling: () => () => undefined,
    },
    options,
  );
  return { ...child, ran, gates, chain: new CallChain(child.context) };
}

const stateOf = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([promise, new Promise((resolve) => setImmediate(resolve, "pending"))]);

const isFailure = (message: string) => ({ name: "CallError", message: `Error: ${message}` });

test("Context.chain makes a CallChain", () => {
  const { context } = chained();
  assert.ok(context.chain() instanceof CallChain);
});

test("CallChain makes calls that return values like those of the context", async () => {
  const { chain, context } = chained();
  assert.equal(chain.context, context);
  assert.equal(await chain.call(note, "a"), "a");
  assert.equal((await chain.callAsync(note, "b").get()).decode(), "b");
});

test("CallChain sends [chain, module, path, arguments] after one call that opens the chain", async () => {
  const { chain, wire } = chained();
  await chain.call(note, "a");
  chain.callNoReply(note, "b");
  const calls = (wire.left.sent as Frame[]).map(({ body }) => decodeValue(Buffer.concat(body)) as unknown[]);
  const id = (calls[1] as unknown[])[0];
  assert.equal(typeof id, "number");
  assert.deepEqual(calls, [
    [null, "mitogen:api", ["openChain"], [id]],
    [id, "file:///fake.js", ["note"], ["a"]],
    [id, "file:///fake.js", ["note"], ["b"]],
  ]);
});

test("CallChain: four calls, the last awaited, cross the wire once", async () => {
  const { chain, wire, ran } = chained();
  wire.hold();
  for (const name of ["a", "b", "c"]) chain.callNoReply(note, name);
  const last = chain.call(note, "d");
  assert.equal(await stateOf(last), "pending");
  // All calls are on the wire, and nothing has come back yet.
  assert.deepEqual([wire.left.sent.length, wire.right.sent.length], [5, 0]);
  wire.release();
  assert.equal(await last, "d");
  assert.deepEqual([ran, wire.right.sent.length], [["a", "b", "c", "d"], 1]);
});

test("CallChain begins a call when the one before has settled; other calls do not wait", async () => {
  const { chain, context, gates, ran } = chained();
  const first = chain.call(later, "a");
  const second = chain.call(later, "b");
  const third = chain.call(note, "c");
  await context.call(note, "outside");
  assert.deepEqual(ran, ["a begins", "outside"]);
  gates.get("a")?.resolve("A");
  assert.equal(await first, "A");
  assert.equal(await stateOf(second), "pending");
  gates.get("b")?.resolve("B");
  assert.deepEqual([await second, await third], ["B", "c"]);
  assert.deepEqual(ran, ["a begins", "outside", "a ends", "b begins", "b ends", "c"]);
});

test("CallChain: after a failure all later calls, even those on their way, fail with it and do not run", async () => {
  const { chain, context, ran, wire } = chained();
  wire.hold();
  const calls = [chain.call(note, "a"), chain.call(fail, "no"), chain.call(note, "b"), chain.call(fail, "c")];
  const receiver = chain.callAsync(note, "d");
  chain.callNoReply(note, "e");
  wire.release();
  assert.equal(await calls[0], "a");
  for (const call of calls.slice(1)) await assert.rejects(call as Promise<unknown>, isFailure("no"));
  const message = await receiver.get();
  assert.throws(() => message.decode(), isFailure("no"));
  await assert.rejects(chain.call(note, "f"), isFailure("no"));
  assert.deepEqual(ran, ["a", "no"]);
  assert.equal(await context.call(note, "outside"), "outside");
});

test("CallChain: an async failure counts too", async () => {
  const { chain, gates, ran } = chained();
  const [first, second] = [chain.call(later, "a"), chain.call(note, "b")];
  gates.get("a")?.reject(new Error("late"));
  await assert.rejects(first, isFailure("late"));
  await assert.rejects(second, isFailure("late"));
  assert.deepEqual(ran, ["a begins"]);
});

test("CallChain: a failed callNoReply is not logged but surfaces from the next call", async (t) => {
  const records = captureLogs(t, "warning");
  const { chain, context, ran } = chained();
  chain.callNoReply(fail, "no");
  chain.callNoReply(note, "b");
  await assert.rejects(chain.call(note, "c"), isFailure("no"));
  assert.deepEqual([ran, printed(records)], [["no"], []]);
  // Outside of a chain, the failure is logged.
  context.callNoReply(fail, "seen");
  assert.match(printed(records)[0] ?? "", /^error: Call of fail of file:\/\/\/fake\.js failed: /);
});

test("CallChain: two chains to one context do not affect each other, nor plain calls", async () => {
  const { chain, context, gates } = chained();
  const other = new CallChain(context);
  chain.callNoReply(fail, "no");
  const waiting = other.call(later, "x");
  await assert.rejects(chain.call(note, "a"), isFailure("no"));
  assert.equal(await context.call(note, "plain"), "plain");
  gates.get("x")?.resolve("X");
  assert.equal(await waiting, "X");
  other.callNoReply(fail, "other");
  await assert.rejects(other.call(note, "b"), isFailure("other"));
  await assert.rejects(chain.call(note, "c"), isFailure("no"));
});

test("CallChain.reset forgets the failure, after the calls made before", async () => {
  const { chain, ran, gates, wire } = chained();
  chain.reset();
  assert.equal(wire.left.sent.length, 0, "there is nothing to forget yet");
  const first = chain.call(later, "a");
  const second = chain.call(note, "b");
  chain.reset();
  const third = chain.call(note, "c");
  gates.get("a")?.reject(new Error("no"));
  await assert.rejects(first, isFailure("no"));
  await assert.rejects(second, isFailure("no"));
  assert.equal(await third, "c");
  assert.deepEqual(ran, ["a begins", "c"]);
});

test("CallChain that is disposed of is forgotten by the target, and begins anew if it is used again", async () => {
  const { chain, wire, library } = chained();
  chain.callNoReply(fail, "no");
  await chain[Symbol.asyncDispose]();
  await chain[Symbol.asyncDispose]();
  const paths = (wire.left.sent as Frame[]).map(
    ({ body }) => (decodeValue(Buffer.concat(body)) as unknown[])[2],
  );
  assert.deepEqual(paths, [["openChain"], ["fail"], ["closeChain"]]);
  assert.ok(library["closeChain"]);
  assert.equal(await chain.call(note, "a"), "a");
});

test("CallChain: a module that does not load, or a value that does not travel, is a failure of the chain", async () => {
  const unknown = () => undefined;
  for (const failing of [unknown, notTravelling]) {
    const { chain, ran } = chained();
    const calls = [chain.call(failing), chain.call(note, "b")];
    const [first, second] = await Promise.all(calls.map((call) => call.catch((error) => error.message)));
    assert.match(first, /^TypeError: /);
    assert.equal(second, first);
    assert.deepEqual(ran, []);
  }
});

test("CallChain: a function or argument refused before anything is sent is not a failure of the chain", async () => {
  const { chain } = chained();
  await assert.rejects(chain.call(note, (() => 1) as never), TypeError);
  assert.throws(() => chain.callNoReply((() => 1) as never), TypeError);
  assert.equal(await chain.call(note, "a"), "a");
});

test("CallChain: modules that cannot be sent fail the chain, and later calls are not sent, until reset", async (t) => {
  const records = captureLogs(t, "warning");
  const { chain, context, functions, ran } = chained();
  const modules = functions.hold("note");
  const error = new TypeError("syntax error in tasks.ts");
  const first = chain.call(note, "a");
  chain.callNoReply(note, "b");
  const third = chain.call(fail, "c");
  const receiver = chain.callAsync(fail, "d");
  const outside = context.call(fail, "outside");
  modules.reject(error);
  await assert.rejects(first, (thrown) => thrown === error);
  await assert.rejects(third, (thrown) => thrown === error);
  const message = await receiver.get();
  assert.throws(() => message.decode(), {
    name: "CallError",
    message: "TypeError: syntax error in tasks.ts",
  });
  await assert.rejects(outside, isFailure("outside"));
  await assert.rejects(chain.call(fail, "e"), (thrown) => thrown === error);
  chain.reset();
  await assert.rejects(chain.call(fail, "f"), isFailure("f"));
  assert.deepEqual([ran, printed(records)], [["outside", "f"], []]);
});

test("CallChain: a call given up is a failure, and later calls do not wait for a function that keeps running", async () => {
  const { chain, gates, ran } = chained();
  const abort = new AbortController();
  const first = chain.with({ signal: abort.signal }).call(later, "a");
  const behind = chain.call(note, "b");
  abort.abort(new RangeError("enough"));
  await assert.rejects(first, RangeError);
  await assert.rejects(behind, { name: "CallError", message: "RangeError: enough" });
  await assert.rejects(chain.call(note, "c"), RangeError);
  chain.reset();
  const last = chain.call(note, "d");
  assert.equal(await stateOf(last), "pending", "one after the other, still");
  // Nor does the end of that call count for the calls after the reset.
  gates.get("a")?.reject(new Error("too late"));
  assert.equal(await last, "d");
  assert.deepEqual(ran, ["a begins", "d"]);
});

test("CallChain: a call given up before its turn leaves earlier calls alone", async () => {
  const { chain, gates, ran } = chained();
  const abort = new AbortController();
  const calls = [chain.call(later, "a"), chain.call(note, "b")];
  const givenUp = chain.with({ signal: abort.signal }).call(note, "c");
  abort.abort(new RangeError("enough"));
  await assert.rejects(givenUp, RangeError);
  gates.get("a")?.resolve("A");
  assert.deepEqual(await Promise.all(calls), ["A", "b"]);
  assert.deepEqual(ran, ["a begins", "a ends", "b"]);
});

for (const form of ["call", "callAsync"] as const) {
  test(`CallChain: a ${form} given up before it has left leaves earlier calls alone that have not left either`, async (t) => {
    const { chain, context, ran } = chained();
    const sources = new Deferred<void>();
    t.mock.method(context.router.functions, "prepare", () => sources.promise);
    const abort = new AbortController();
    const calls = [chain.call(note, "a"), chain.call(note, "b")];
    const bounded = chain.with({ signal: abort.signal });
    const givenUp = form === "call" ? bounded.call(note, "c") : bounded.callAsync(note, "c").get();
    const behind = chain.call(note, "d");
    abort.abort(new RangeError("enough"));
    await assert.rejects(givenUp, RangeError);
    assert.deepEqual(ran, []);
    sources.resolve();
    assert.deepEqual(await Promise.all(calls), ["a", "b"]);
    await assert.rejects(behind, RangeError);
    await assert.rejects(chain.call(note, "e"), RangeError);
    assert.deepEqual(ran, ["a", "b"]);
  });
}

test("CallChain.with: a call that waits in its chain and is given up never begins", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { chain, gates, ran } = chained();
  const first = chain.call(later, "a");
  const second = chain.with({ timeoutMs: 100 }).call(note, "b");
  const third = chain.callAsync(note, "c");
  t.mock.timers.tick(100);
  await assert.rejects(second, TimeoutError);
  gates.get("a")?.resolve("A");
  assert.equal(await first, "A");
  const message = await third.get();
  assert.throws(() => message.decode(), { message: /^TimeoutError: Cannot call note/ });
  assert.deepEqual(ran, ["a begins", "a ends"]);
});

test("CallChain fails its calls when the context goes", async () => {
  const { chain, wire } = chained();
  const calls = [chain.call(later, "a"), chain.call(note, "b")];
  wire.cut("child.1: gone");
  for (const call of calls) await assert.rejects(call, { name: "ChannelError", message: "child.1: gone" });
  await assert.rejects(chain.call(note, "c"), ChannelError);
  await chain[Symbol.asyncDispose]();
});

test("A chained call is refused if the chain was never opened", async (t) => {
  captureLogs(t, "error");
  const { chain, ran } = chained({ hasLibrary: false });
  const error = await chain.call(note, "a").catch((thrown) => thrown);
  assert.ok(error instanceof CallError);
  assert.match(error.message, /Cannot run call: its chain is not open/);
  assert.deepEqual(ran, []);
});

test("CallChain delays later calls only while its own module is loaded, like any call", async () => {
  const { chain, context, holdModule, ran } = chained();
  const module = holdModule("note");
  chain.callNoReply(note, "a");
  const behind = context.call(fail, "b");
  module.resolve();
  await assert.rejects(behind, isFailure("b"));
  assert.deepEqual(ran, ["a", "b"]);
});
