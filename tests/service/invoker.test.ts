import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/core/message.ts";
import { DeduplicatingInvoker, Invoker, MAX_RESULTS, SerializedInvoker } from "../../src/service/invoker.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { stateOf } from "../support/service-pair.ts";

/** These invokers do not read the message. */
const NO_MESSAGE = {} as Message;

/** Calls whose ends the test decides. */
function calls() {
  const events: string[] = [];
  const ends: Record<string, Deferred<unknown>> = {};
  const call = (label: string, method = "m", args: Record<string, unknown> = {}) => ({
    method,
    args,
    message: NO_MESSAGE,
    run: () => {
      events.push(label);
      ends[label] = new Deferred();
      return (ends[label] as Deferred<unknown>).promise;
    },
  });
  return { events, ends, call };
}

test("Invoker runs requests at once", async () => {
  const { events, ends, call } = calls();
  const invoker = new Invoker();
  const [a, b] = [invoker.invoke(call("a")), invoker.invoke(call("b"))];
  assert.deepEqual(events, ["a", "b"]);
  ends["b"]?.resolve(2);
  assert.equal(await b, 2);
  assert.equal(await stateOf(a), "pending");
  ends["a"]?.resolve(1);
  assert.equal(await a, 1);
});

test("SerializedInvoker runs one request at a time, in order, and continues after an error", async () => {
  const { events, ends, call } = calls();
  const invoker = new SerializedInvoker();
  const [a, b, c] = ["a", "b", "c"].map((label) => invoker.invoke(call(label))) as [
    Promise<1>,
    Promise<2>,
    Promise<3>,
  ];
  assert.equal(await stateOf(a), "pending");
  assert.deepEqual(events, ["a"]);
  ends["a"]?.reject(new Error("a failed"));
  await assert.rejects(a, /a failed/);
  assert.equal(await stateOf(b), "pending");
  assert.deepEqual(events, ["a", "b"]);
  ends["b"]?.resolve(2);
  assert.equal(await b, 2);
  assert.equal(await stateOf(c), "pending");
  ends["c"]?.resolve(3);
  assert.equal(await c, 3);
  assert.deepEqual(events, ["a", "b", "c"]);
});

test("DeduplicatingInvoker runs identical requests once, and returns the value to all later ones", async () => {
  const { events, ends, call } = calls();
  const invoker = new DeduplicatingInvoker();
  const first = invoker.invoke(call("first", "m", { a: 1, b: { c: 2, d: 3 } }));
  const same = invoker.invoke(call("same", "m", { b: { d: 3, c: 2 }, a: 1 }));
  const others = [
    invoker.invoke(call("method", "n", { a: 1, b: { c: 2, d: 3 } })),
    invoker.invoke(call("value", "m", { a: 1, b: { c: 2, d: 4 } })),
    invoker.invoke(call("fewer", "m", { a: 1 })),
    invoker.invoke(call("type", "m", { a: "1" })),
    invoker.invoke(call("array", "m", { a: [["b", 1]] })),
    invoker.invoke(call("object", "m", { a: { b: 1 } })),
  ];
  assert.deepEqual(events, ["first", "method", "value", "fewer", "type", "array", "object"]);
  ends["first"]?.resolve({ done: true });
  assert.deepEqual(await Promise.all([first, same]), [{ done: true }, { done: true }]);
  const later = invoker.invoke(call("later", "m", { a: 1, b: { c: 2, d: 3 } }));
  assert.equal(await later, await first);
  assert.equal(events.includes("later"), false);
  for (const end of Object.values(ends)) end.resolve(undefined);
  await Promise.all(others);
});

test("DeduplicatingInvoker keeps errors too", async () => {
  const { events, ends, call } = calls();
  const invoker = new DeduplicatingInvoker();
  const first = invoker.invoke(call("first"));
  ends["first"]?.reject(new Error("failed"));
  await assert.rejects(first, /failed/);
  await assert.rejects(invoker.invoke(call("second")), /failed/);
  assert.deepEqual(events, ["first"]);
});

test("DeduplicatingInvoker forgets the least recently requested result when there are 10,000 others", async () => {
  const { events, ends, call } = calls();
  const invoker = new DeduplicatingInvoker();
  const ask = (at: number) => void invoker.invoke(call(String(at), "m", { at }));
  for (let at = 0; at < MAX_RESULTS; at++) ask(at);
  ask(0); // in use
  ask(MAX_RESULTS);
  events.length = 0;
  ask(0);
  assert.deepEqual(events, []);
  ask(1);
  assert.deepEqual(events, ["1"]);
  for (const end of Object.values(ends)) end.resolve(undefined);
});
