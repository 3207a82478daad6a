import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel } from "../../src/core/channel.ts";
import type { Message } from "../../src/core/message.ts";
import { Receiver } from "../../src/core/receiver.ts";
import { Select } from "../../src/core/select.ts";
import { Sender } from "../../src/core/sender.ts";
import { CallError, ChannelError, TimeoutError } from "../../src/errors.ts";
import { FakeRouter, masterAndChild } from "../support/fake-tree.ts";

const router = new FakeRouter({ contextId: 0 });
const receivers = (count: number) => Array.from({ length: count }, () => new Receiver<unknown>(router));
const oneShots = (count: number) =>
  Array.from({ length: count }, () => new Receiver<unknown>(router, { persist: false }));

async function send(receiver: Receiver<unknown>, ...values: unknown[]): Promise<void> {
  for (const value of values) await receiver.toSender().send(value);
}

async function valuesOf(messages: AsyncIterable<Message<unknown>>): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const message of messages) values.push(message.decode());
  return values;
}

/** A promise's value if it is settled, or "pending", without waiting for it. */
const stateOf = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([promise, new Promise((resolve) => setImmediate(resolve, "pending"))]);

const isSelectError = { name: "SelectError", code: "ERR_SELECT" };

test("Select iteration yields messages as they arrive, and ends when no source is left", async () => {
  const [a, b, c] = receivers(3) as [Receiver, Receiver, Receiver];
  const all = valuesOf(new Select([a, b, c]));
  await send(b, "b");
  await send(c, "c");
  await send(a, "a");
  assert.deepEqual(await all, ["b", "c", "a"]);
  assert.deepEqual(await valuesOf(new Select()), []);
});

test("Select takes messages of all sources in the order in which they arrived, before or after add", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a, b], { oneshot: false });
  await send(a, 1, 2);
  await send(b, 3);
  await send(a, 4);
  await send(b, 5);
  for (const expected of [1, 2, 3, 4, 5]) assert.equal((await select.get()).decode(), expected);
});

test("Select removes a source that yields with oneshot, and keeps it without", async () => {
  for (const oneshot of [true, false]) {
    const [a] = receivers(1) as [Receiver];
    const select = new Select([a], { oneshot });
    await send(a, 1, 2);
    assert.equal((await select.get()).decode(), 1);
    assert.deepEqual([select.isEmpty, a.watchers.size], [oneshot, oneshot ? 0 : 1]);
    if (oneshot) {
      await assert.rejects(select.get(), isSelectError);
      assert.equal((await a.get()).decode(), 2, "what it did not yield is still there");
    } else assert.equal((await select.get()).decode(), 2);
  }
});

test("Select.getEvent returns source and data; the message knows the source", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a, b]);
  await send(b, "x");
  const event = await select.getEvent();
  assert.equal(event.source, b);
  assert.equal(event.data.decode(), "x");
  assert.equal(event.data.receiver, b);
});

test("Select within a Select: the source is the inner one", async () => {
  const [a] = receivers(1) as [Receiver];
  const inner = new Select([a]);
  const outer = new Select([inner]);
  const wait = outer.getEvent();
  await send(a, "x");
  const { source, data } = await wait;
  assert.equal(source, inner);
  assert.equal(data.receiver, inner);
  assert.equal(data.decode(), "x");
});

test("Select iterates over all messages of nested one-shot Selects, then ends", async () => {
  const [a, b, c] = receivers(3) as [Receiver, Receiver, Receiver];
  const nested = new Select([new Select([a, b]), new Select([new Select([c]), new Select()])]);
  await send(a, "a");
  const all = valuesOf(nested);
  await send(c, "c");
  await send(b, "b");
  assert.deepEqual(await all, ["a", "c", "b"]);
  assert.deepEqual(await valuesOf(new Select([new Select()])), []);
});

test("Select that waits for a nested one continues when that one gets a source", async () => {
  const inner = new Select<unknown>([], { oneshot: false });
  const wait = new Select([inner]).get();
  assert.equal(await stateOf(wait), "pending");
  const [a] = receivers(1) as [Receiver];
  await send(a, 1);
  inner.add(a);
  assert.equal((await wait).decode(), 1);
});

test("Select.get rejects at once if there are no sources, whatever the timeout", async () => {
  await assert.rejects(new Select().get(), {
    ...isSelectError,
    message: "Cannot get from select: it has no sources",
  });
  await assert.rejects(new Select().get({ timeoutMs: 60_000 }), isSelectError);
  await assert.rejects(new Select().get({ timeoutMs: 0 }), isSelectError);
});

test("Select.get with timeoutMs 0 takes a message that is there, and never waits", async () => {
  const [a] = receivers(1) as [Receiver];
  const select = new Select([a]);
  await assert.rejects(select.get({ timeoutMs: 0 }), TimeoutError);
  await assert.rejects(new Select([new Select()]).get({ timeoutMs: 0 }), TimeoutError);
  await send(a, 1);
  assert.equal((await select.get({ timeoutMs: 0 })).decode(), 1);
});

test("Select.get that gives up loses no message", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [a] = receivers(1) as [Receiver];
  const select = new Select([a]);
  const late = select.get({ timeoutMs: 100 });
  const abort = new AbortController();
  const aborted = select.get({ signal: abort.signal });
  const patient = select.get();
  t.mock.timers.tick(100);
  abort.abort(new Error("enough"));
  await assert.rejects(late, { name: "TimeoutError", message: /get from select: no answer within 100 ms/ });
  await assert.rejects(aborted, /enough/);
  await send(a, 1);
  assert.equal((await patient).decode(), 1);
});

test("Select.get serves waiting calls in the order in which they began", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a, b]);
  const waits = [select.get(), select.get()];
  await send(b, "first");
  await send(a, "second");
  assert.deepEqual(
    (await Promise.all(waits)).map((message) => message.decode()),
    ["first", "second"],
  );
});

test("Select.get rejects when its last source is removed while it waits, and an iteration ends", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const [waited, iterated] = [new Select([a]), new Select([b])];
  const wait = waited.get();
  const iteration = valuesOf(iterated);
  waited.remove(a);
  iterated.remove(b);
  await assert.rejects(wait, isSelectError);
  assert.deepEqual(await iteration, []);
});

test("Select.all returns the values in the order in which they arrive", async () => {
  const [a, b, c] = oneShots(3) as [Receiver, Receiver, Receiver];
  const all = Select.all([a, b, c]);
  await send(c, 3);
  await send(a, 1);
  await send(b, 2);
  assert.deepEqual(await all, [3, 1, 2]);
  assert.deepEqual(await Select.all([]), []);
});

test("Select.all rejects with the first CallError or dead message, and releases the receivers", async () => {
  const [a, b] = oneShots(2) as [Receiver, Receiver];
  const failing = Select.all([a, b]);
  await send(b, new CallError("Error: no"));
  await assert.rejects(failing, { name: "CallError", message: "Error: no" });
  await send(a, 1);
  assert.equal((await a.get()).decode(), 1);

  const [c, d] = oneShots(2) as [Receiver, Receiver];
  const dying = Select.all([c, d]);
  d.toSender().close();
  await assert.rejects(dying, ChannelError);
});

test("Select.all bounds the wait for all values together", async (t) => {
  const [a, b] = oneShots(2) as [Receiver, Receiver];
  await send(a, 1);
  await assert.rejects(Select.all([a, b], { timeoutMs: 0 }), TimeoutError);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const all = Select.all([b], { timeoutMs: 50 });
  await stateOf(all);
  t.mock.timers.tick(50);
  await assert.rejects(all, TimeoutError);
  await assert.rejects(Select.all([b], { timeoutMs: -1 }), RangeError);
  assert.equal(b.watchers.size, 0);
  // The second Select does not get messages that the first has taken.
  const [first, second] = oneShots(2) as [Receiver, Receiver];
  const both = Select.all([first, second], { timeoutMs: 50 }).catch((error) => error);
  await stateOf(both);
  t.mock.timers.tick(30);
  await send(first, 1);
  await stateOf(both);
  t.mock.timers.tick(20);
  assert.equal(String(await stateOf(both)), "TimeoutError: Cannot get from select: no answer within 50 ms");
});

test("Select.add refuses a source that belongs to a Select, even to this one", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a]);
  const owned = { ...isSelectError, message: /belongs to a select already/ };
  assert.throws(() => select.add(a), owned);
  assert.throws(() => new Select([a]), owned);
  assert.throws(() => new Select([b, b]), owned);
  // The constructor that failed holds nothing.
  select.add(b);
  const inner = new Select();
  select.add(inner);
  assert.throws(() => new Select([inner]), owned);
});

test("Select.add refuses cycles, direct and indirect", () => {
  const [a, b, c] = [new Select(), new Select(), new Select()];
  const cyclic = { ...isSelectError, message: /would contain itself/ };
  assert.throws(() => a.add(a), cyclic);
  a.add(b);
  b.add(c);
  assert.throws(() => c.add(a), cyclic);
  assert.throws(() => b.add(a), cyclic);
});

test("Select delivers everything that was queued before add, even several messages of one source", async () => {
  const [a] = receivers(1) as [Receiver];
  await send(a, 1, 2, 3);
  const select = new Select<unknown>([new Select([a], { oneshot: false })], { oneshot: false });
  for (const expected of [1, 2, 3]) {
    assert.equal((await select.get({ timeoutMs: 0 })).decode(), expected);
  }
  await assert.rejects(select.get({ timeoutMs: 0 }), TimeoutError);
});

test("Select.remove refuses anything that is not its source, and yields nothing of a removed source", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a]);
  assert.throws(() => select.remove(b), {
    ...isSelectError,
    message: /does not belong to this select/,
  });
  await send(a, 1);
  select.remove(a);
  assert.throws(() => select.remove(a), isSelectError);
  select.add(b);
  await assert.rejects(select.get({ timeoutMs: 0 }), TimeoutError);
  assert.equal((await a.get()).decode(), 1);
  new Select([a]).close();
});

test("Select.close ends all waiting calls and releases its sources; inner Selects stay open", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const inner = new Select([a]);
  const select = new Select([inner, b]);
  const waits = Array.from({ length: 5 }, () => select.get());
  const iteration = valuesOf(select);
  select.close();
  select.close();
  for (const wait of waits) {
    await assert.rejects(wait, { ...isSelectError, message: "The select was closed" });
  }
  assert.deepEqual(await iteration, []);
  await assert.rejects(select.get({ timeoutMs: 0 }), isSelectError);
  assert.throws(() => select.add(b), isSelectError);
  await send(a, 1);
  assert.equal((await inner.get()).decode(), 1);
  new Select([inner, b]);
});

test("Select closes itself at the end of an await using block", async () => {
  const [a] = receivers(1) as [Receiver];
  const select = new Select([a]);
  const wait = select.get();
  await select[Symbol.asyncDispose]();
  await assert.rejects(wait, isSelectError);
});

test("Select reports once that a nested one was closed, and continues without it", async () => {
  const [a] = receivers(1) as [Receiver];
  const inner = new Select<unknown>([], { oneshot: false });
  const select = new Select<unknown>([inner, a], { oneshot: false });
  const wait = select.get();
  inner.close();
  await assert.rejects(wait, isSelectError);
  await send(a, 1);
  assert.equal((await select.get()).decode(), 1);
});

test("Select.size counts the queued messages, and isEmpty says whether there are sources", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select<unknown>([a, new Select([b])]);
  assert.deepEqual([select.size(), select.isEmpty, new Select().isEmpty], [0, false, true]);
  await send(a, 1, 2);
  await send(b, 3);
  assert.equal(select.size(), 3);
});

test("Select skips messages that were read elsewhere", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const inner = new Select([a], { oneshot: false });
  const select = new Select<unknown>([inner, b], { oneshot: false });
  await send(a, 1, 2);
  await send(b, 3);
  assert.equal((await a.get()).decode(), 1);
  assert.equal((await inner.get()).decode(), 2);
  assert.equal((await select.get({ timeoutMs: 0 })).decode(), 3);
  await assert.rejects(select.get({ timeoutMs: 0 }), TimeoutError);
});

test("Select that nobody reads keeps no trace of messages read elsewhere", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a, b], { oneshot: false });
  for (let round = 0; round < 1000; round++) {
    await send(a, round);
    assert.equal(a.tryGet()?.decode(), round);
  }
  await send(a, "a");
  await send(b, "b");
  assert.deepEqual([(await select.get()).decode(), (await select.get()).decode()], ["a", "b"]);
});

test("Select skips a one-shot receiver whose message was read elsewhere, and ends", async () => {
  const [a, b] = oneShots(2) as [Receiver, Receiver];
  const direct = b.get();
  const select = new Select([a, b]);
  const iteration = valuesOf(select);
  await send(b, 1);
  assert.equal((await direct).decode(), 1);
  await send(a, 2);
  assert.deepEqual(await iteration, [2]);
});

test("Select.iterEvents yields events", async () => {
  const [a, b] = receivers(2) as [Receiver, Receiver];
  const select = new Select([a, b]);
  await send(b, 1);
  await send(a, 2);
  const seen: unknown[] = [];
  for await (const { source, data } of select.iterEvents()) seen.push([source === b, data.decode()]);
  assert.deepEqual(seen, [
    [true, 1],
    [false, 2],
  ]);
});

test("Select over a dead peer rejects with its ChannelError, once, and continues with the others", async () => {
  for (const oneshot of [true, false]) {
    const { master, child, context, wire } = masterAndChild();
    const dying = new Receiver<unknown>(master, { respondent: context });
    const living = new Receiver<unknown>(master);
    await new Sender(child, 0, dying.handle).send("last words");
    const select = new Select<unknown>([new Select([dying], { oneshot }), living], { oneshot });
    if (!oneshot) assert.equal((await select.get()).decode(), "last words");
    const wait = oneshot ? undefined : select.get();
    wire.cut("child.1: the machine burnt");
    if (wait !== undefined) await assert.rejects(wait, { name: "ChannelError", message: /burnt/ });
    else assert.equal((await select.get()).decode(), "last words");
    await send(living, "alive");
    assert.equal((await select.get()).decode(), "alive");
  }
});

test("Select iteration throws the error that ended a source; a new iteration continues", async () => {
  const { master, context, wire } = masterAndChild();
  const dying = new Receiver<unknown>(master, { respondent: context });
  const [living] = receivers(1) as [Receiver];
  const select = new Select<unknown>([dying, living]);
  const iteration = valuesOf(select);
  wire.cut("gone");
  await assert.rejects(iteration, { name: "ChannelError", message: "gone" });
  await send(living, 1);
  assert.deepEqual(await valuesOf(select), [1]);
});

test("Select rejects once for each receiver that had ended before, or is closed meanwhile", async () => {
  const { master, context, wire } = masterAndChild();
  wire.cut("gone before");
  const gone = new Receiver<unknown>(master, { respondent: context });
  const [closing, aborted] = receivers(2) as [Receiver, Receiver];
  const select = new Select<unknown>([gone, closing, aborted], { oneshot: false });
  await assert.rejects(select.get(), { name: "ChannelError", message: "gone before" });
  const wait = select.get();
  closing.close();
  await assert.rejects(wait, { name: "ChannelError", message: "The receiver was closed" });
  await send(aborted, 1);
  aborted.abort(new RangeError("mine"));
  assert.equal((await select.get()).decode(), 1);
  await assert.rejects(select.get(), RangeError);
  assert.equal(select.isEmpty, true);
});

test("Select without oneshot continues with a receiver whose sender was closed", async () => {
  const [a] = receivers(1) as [Receiver];
  const { master, child } = masterAndChild();
  const persistent = new Receiver<unknown>(master);
  const sender = new Sender(child, 0, persistent.handle);
  const select = new Select<unknown>([a, persistent], { oneshot: false });
  sender.close();
  await assert.rejects(select.get(), { message: "The sender in context 1 was closed" });
  await sender.send("again");
  assert.equal((await select.get()).decode(), "again");
  sender.close();
  const dead = await select.getEvent({ throwDead: false });
  assert.deepEqual([dead.data.isDead, dead.source], [true, persistent]);
});

test("Select removes a one-shot receiver that has delivered, even without oneshot", async () => {
  const [a, b] = oneShots(2) as [Receiver, Receiver];
  const select = new Select([a, b], { oneshot: false });
  const iteration = valuesOf(select);
  await send(b, 1);
  await send(a, 2);
  assert.deepEqual(await iteration, [1, 2]);
});

test("Channel is a source like any receiver", async () => {
  const { master, child, context } = masterAndChild();
  const channel = new Channel<unknown>(master, { context, dstHandle: 2000 });
  await new Sender(child, 0, channel.handle).send("x");
  const event = await new Select([channel]).getEvent();
  assert.equal(event.source, channel);
});
