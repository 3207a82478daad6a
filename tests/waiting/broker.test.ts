import assert from "node:assert/strict";
import { test } from "node:test";
import { Broker } from "../../src/waiting/broker.ts";
import { Deferred } from "../../src/waiting/deferred.ts";

test("Broker.shutdown ends everything it owns once, and returns the same promise every time", async () => {
  const broker = new Broker();
  const ended: string[] = [];
  broker.own({ shutdown: async () => void ended.push("a") });
  broker.own({ shutdown: async () => void ended.push("b") });
  assert.equal(broker.isShutDown, false);
  const first = broker.shutdown();
  assert.equal(broker.isShutDown, true);
  assert.equal(broker.shutdown(), first);
  await first;
  await broker.shutdown();
  assert.deepEqual(ended, ["a", "b"]);
});

test("Broker.shutdown resolves when everything has ended, and ends everything at the same time", async () => {
  const broker = new Broker();
  const [slow, quick] = [new Deferred<void>(), new Deferred<void>()];
  const order: string[] = [];
  broker.own({ shutdown: () => slow.promise });
  broker.own({ shutdown: () => quick.promise });
  const done = broker.shutdown().then(() => order.push("shut down"));
  quick.resolve();
  await quick.promise;
  order.push("quick");
  slow.resolve();
  await done;
  assert.deepEqual(order, ["quick", "shut down"]);
});

test("Broker.shutdown never rejects, and ends the others even if one fails", async () => {
  const broker = new Broker();
  const ended: string[] = [];
  broker.own({ shutdown: () => Promise.reject(new Error("later")) });
  broker.own({
    shutdown: () => {
      throw new Error("at once");
    },
  });
  broker.own({ shutdown: async () => void ended.push("last") });
  await broker.shutdown();
  assert.deepEqual(ended, ["last"]);
});

test("Broker.own returns a function that removes the entry", async () => {
  const broker = new Broker();
  const ended: string[] = [];
  const forget = broker.own({ shutdown: async () => void ended.push("a") });
  forget();
  forget();
  await broker.shutdown();
  assert.deepEqual(ended, []);
});

test("Broker shuts down at the end of an await using block", async () => {
  const broker = new Broker();
  const ended: string[] = [];
  broker.own({ shutdown: async () => void ended.push("a") });
  await broker[Symbol.asyncDispose]();
  assert.deepEqual([ended, broker.isShutDown], [["a"], true]);
});
