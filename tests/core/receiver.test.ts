import assert from "node:assert/strict";
import { test } from "node:test";
import { deadReason, Message } from "../../src/core/message.ts";
import { Receiver } from "../../src/core/receiver.ts";
import { Sender } from "../../src/core/sender.ts";
import { ChannelError, TimeoutError } from "../../src/errors.ts";
import { Handle } from "../../src/wire/handles.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { FakeRouter, masterAndChild } from "../support/fake-tree.ts";

const lonely = () => new FakeRouter({ contextId: 0 });
const closed = { name: "ChannelError", code: "ERR_CHANNEL", message: "The receiver was closed" };

async function send(receiver: Receiver<unknown>, ...values: unknown[]): Promise<void> {
  for (const value of values) await receiver.toSender().send(value);
}

async function values(receiver: Receiver<unknown>, count: number): Promise<unknown[]> {
  const found: unknown[] = [];
  while (found.length < count) found.push((await receiver.get()).decode());
  return found;
}

/** Returns how each of `promises` ended, when all have. */
async function outcomes(promises: readonly Promise<Message<unknown>>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((each) => (each.status === "fulfilled" ? each.value.decode() : each.reason.message));
}

test("Receiver.get returns messages in the order in which they arrived, before or after the call", async () => {
  const receiver = new Receiver(lonely());
  await send(receiver, 1, 2);
  const [first, second, third, fourth] = [receiver.get(), receiver.get(), receiver.get(), receiver.get()];
  await send(receiver, 3, 4);
  assert.deepEqual(
    await outcomes([first, second, third, fourth] as Promise<Message<unknown>>[]),
    [1, 2, 3, 4],
  );
});

test("Receiver.get serves waiting calls in the order in which they began", async () => {
  const receiver = new Receiver(lonely());
  const order: string[] = [];
  const waits = ["a", "b", "c"].map(async (name) => {
    const message = await receiver.get();
    order.push(`${name}${message.decode()}`);
  });
  await send(receiver, 1, 2, 3);
  await Promise.all(waits);
  assert.deepEqual(order, ["a1", "b2", "c3"]);
});

test("Receiver.get returns a message that knows its receiver", async () => {
  const receiver = new Receiver(lonely());
  await send(receiver, 1);
  assert.equal((await receiver.get()).receiver, receiver);
});

test("Receiver.get with timeoutMs 0 takes a message that is there, and never waits", async () => {
  const receiver = new Receiver(lonely());
  await assert.rejects(receiver.get({ timeoutMs: 0 }), { name: "TimeoutError", code: "ERR_TIMEOUT" });
  await send(receiver, 1);
  assert.equal((await receiver.get({ timeoutMs: 0 })).decode(), 1);
});

test("Receiver.get rejects with a TimeoutError when its time is up, and takes no message with it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const router = lonely();
  const receiver = new Receiver(router);
  const [late, patient] = [receiver.get({ timeoutMs: 1000 }), receiver.get()];
  late.catch(() => undefined);
  t.mock.timers.tick(999);
  assert.equal(router.fakeBroker.holds, 2);
  t.mock.timers.tick(1);
  await assert.rejects(
    late,
    (error) => error instanceof TimeoutError && /within 1000 ms/.test(error.message),
  );
  await send(receiver, "next", "after");
  assert.deepEqual([(await patient).decode(), ...(await values(receiver, 1))], ["next", "after"]);
  assert.equal(router.fakeBroker.holds, 0);
});

test("Receiver.get rejects with the signal's reason and takes no message with it", async () => {
  const receiver = new Receiver(lonely());
  const controller = new AbortController();
  const reason = new Error("enough");
  const given = receiver.get({ signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(given, (error) => error === reason);
  await send(receiver, 1);
  assert.deepEqual(await values(receiver, 1), [1]);
  await assert.rejects(receiver.get({ signal: controller.signal }), (error) => error === reason);
});

test("Receiver.close ends all waiting calls, whenever they began", async () => {
  const router = lonely();
  const receiver = new Receiver(router);
  const waits = Array.from({ length: 5 }, () => receiver.get());
  receiver.close();
  for (const wait of waits) await assert.rejects(wait, closed);
  await assert.rejects(receiver.get(), closed);
  await assert.rejects(receiver.get({ timeoutMs: 0 }), closed);
  assert.equal(router.fakeBroker.holds, 0);
});

test("Receiver.close drops what is queued, frees its handle, and may be called twice", async () => {
  const router = lonely();
  const receiver = new Receiver(router, { handle: 2000 });
  await send(receiver, 1, 2);
  receiver.close();
  receiver.close();
  assert.equal(receiver.size(), 0);
  await assert.rejects(receiver.get(), closed);
  await send(receiver, 3);
  assert.equal(receiver.size(), 0);
  assert.equal(new Receiver(router, { handle: 2000 }).handle, 2000);
});

test("Receiver.close leaves the handle alone if it has become another receiver's", async () => {
  const router = lonely();
  const oneShot = new Receiver(router, { handle: 2000, persist: false });
  await send(oneShot, 1);
  const second = new Receiver(router, { handle: 2000 });
  oneShot.close();
  const third = new Receiver(router, { handle: 2000, overwrite: true });
  second.close();
  await send(third, 2);
  assert.deepEqual(await values(third, 1), [2]);
});

test("Receiver ends waiting calls when its handle is taken over", async () => {
  const router = lonely();
  const receiver = new Receiver(router, { handle: 2000 });
  const wait = receiver.get();
  new Receiver(router, { handle: 2000, overwrite: true });
  await assert.rejects(wait, /Another handler took handle 2000 over/);
});

test("Receiver closes itself at the end of an await using block", async () => {
  const receiver = new Receiver(lonely());
  const wait = receiver.get();
  await receiver[Symbol.asyncDispose]();
  await assert.rejects(wait, closed);
});

test("Receiver iteration yields every message and ends quietly on close", async () => {
  const receiver = new Receiver(lonely());
  const seen: unknown[] = [];
  await send(receiver, 1, 2);
  for await (const message of receiver) {
    seen.push(message.decode());
    if (seen.length === 2) queueMicrotask(() => receiver.close());
  }
  assert.deepEqual(seen, [1, 2]);
});

test("Receiver iteration ends quietly on a dead message, after the messages sent before", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver<number>(master);
  const sender = new Sender<number>(child, 0, receiver.handle);
  await sender.send(1);
  await sender.send(2);
  sender.close();
  const seen: number[] = [];
  for await (const message of receiver) seen.push(message.decode());
  assert.deepEqual(seen, [1, 2]);
});

test("Receiver iteration throws what a message's reader throws", async () => {
  const receiver = new Receiver(lonely());
  await send(receiver, 1);
  const read = async () => {
    for await (const _ of receiver) throw new RangeError("mine");
  };
  await assert.rejects(read(), RangeError);
});

test("Receiver: a dead message of a peer ends one waiting call, and the others continue", async () => {
  const { master, child } = masterAndChild();
  const receiver = new Receiver<string>(master);
  const sender = new Sender<string>(child, 0, receiver.handle);
  const [first, second] = [receiver.get(), receiver.get()];
  sender.close();
  await assert.rejects(first, { name: "ChannelError", message: "The sender in context 1 was closed" });
  await sender.send("still here");
  assert.equal((await second).decode(), "still here");
});

test("Receiver: a dead message of this context's own router also counts as one message", async () => {
  const { master } = masterAndChild();
  const receiver = new Receiver<string>(master);
  const nowhere = { dstId: 777, handle: 1, replyTo: receiver.handle };
  const [first, second] = [receiver.get(), receiver.get()];
  master.route(Message.to(master, nowhere, { value: 1 }));
  await assert.rejects(first, { name: "ChannelError", message: /777/ });
  await send(receiver, "still here");
  assert.equal((await second).decode(), "still here");
  receiver.toSender().close();
  await assert.rejects(receiver.get(), { message: "The sender in context 0 was closed" });
  await send(receiver, "and here");
  assert.deepEqual(await values(receiver, 1), ["and here"]);
});

test("Receiver of one message refuses a second get at once", async () => {
  const receiver = new Receiver(lonely(), { persist: false });
  await send(receiver, 1);
  assert.deepEqual(await values(receiver, 1), [1]);
  const used = { name: "ChannelError", message: /for one message and has delivered it/ };
  await assert.rejects(receiver.get(), used);
  await assert.rejects(receiver.get({ timeoutMs: 60_000 }), used);
});

test("Receiver of one message ends all other waiting calls when the message comes", async () => {
  const receiver = new Receiver(lonely(), { persist: false });
  const waits = [receiver.get(), receiver.get(), receiver.get()];
  await send(receiver, 1);
  const reason = "The receiver was for one message and has delivered it";
  assert.deepEqual(await outcomes(waits), [1, reason, reason]);
});

test("Receiver with a respondent ends all waiting calls when that context is gone", async () => {
  const { master, context, wire } = masterAndChild();
  const receiver = new Receiver(master, { respondent: context });
  const waits = [receiver.get(), receiver.get(), receiver.get()];
  wire.cut("child.1: the machine burnt");
  assert.deepEqual(await outcomes(waits), Array(3).fill("child.1: the machine burnt"));
  await assert.rejects(receiver.get(), /the machine burnt/);
});

test("Receiver with a respondent returns the messages from before its end, then the end, for ever", async () => {
  const { master, child, context, wire } = masterAndChild();
  const receiver = new Receiver<number>(master, { respondent: context });
  await new Sender<number>(child, 0, receiver.handle).send(1);
  wire.cut("gone");
  assert.equal((await receiver.get()).decode(), 1);
  await assert.rejects(receiver.get(), ChannelError);
  await assert.rejects(receiver.get(), ChannelError);
});

test("Receiver for a respondent that is gone already never waits, and keeps no handle", async () => {
  const { master, context, wire } = masterAndChild();
  wire.cut("gone before");
  const receiver = new Receiver(master, { respondent: context, handle: 2000 });
  await assert.rejects(receiver.get(), { message: "gone before" });
  assert.equal(new Receiver(master, { handle: 2000 }).handle, 2000);
});

test("Receiver of a router that is shut down never waits", async () => {
  const router = lonely();
  const early = new Receiver(router);
  const wait = early.get();
  router.endHandlers("The router was shut down");
  await assert.rejects(wait, { message: "The router was shut down" });
  await assert.rejects(new Receiver(router).get(), { message: "The router was shut down" });
});

test("Receiver with a policy gets only messages that the policy allows", async () => {
  const { master, child } = masterAndChild();
  const asked: number[] = [];
  const receiver = new Receiver<number>(master, {
    policy: (message) => {
      asked.push(message.srcId);
      return message.decode() === 2;
    },
  });
  const sender = new Sender<number>(child, 0, receiver.handle);
  await sender.send(1);
  await sender.send(2);
  assert.equal(receiver.size(), 1);
  assert.deepEqual([asked, (await receiver.get()).decode()], [[1, 1], 2]);
});

test("Receiver.size counts the queued messages", async () => {
  const receiver = new Receiver(lonely());
  assert.equal(receiver.size(), 0);
  await send(receiver, 1, 2, 3);
  assert.equal(receiver.size(), 3);
  await receiver.get();
  assert.equal(receiver.size(), 2);
});

test("Receiver.get keeps the program alive while it waits, a discarded receiver does not", async () => {
  const router = lonely();
  const receiver = new Receiver(router);
  assert.equal(router.fakeBroker.holds, 0);
  const wait = receiver.get();
  assert.equal(router.fakeBroker.holds, 1);
  await send(receiver, 1);
  await wait;
  assert.equal(router.fakeBroker.holds, 0);
});

test("Receiver.get with throwDead false returns the dead message, queued or waited for", async () => {
  const { master, child, context, wire } = masterAndChild();
  const receiver = new Receiver<number>(master, { respondent: context });
  const sender = new Sender<number>(child, 0, receiver.handle);
  const waited = receiver.get({ throwDead: false });
  sender.close();
  sender.close();
  for (const message of [await waited, await receiver.get({ throwDead: false })]) {
    assert.equal(message.isDead, true);
    assert.throws(() => message.decode(), ChannelError);
  }
  wire.cut("gone");
  assert.equal((await receiver.get({ throwDead: false })).isDead, true);
  // From now on there is no message to return.
  await assert.rejects(receiver.get({ throwDead: false }), { message: "gone" });
});

test("Receiver.tryGet takes a queued message and never waits or throws", async () => {
  const receiver = new Receiver(lonely());
  assert.equal(receiver.tryGet(), undefined);
  await send(receiver, 1);
  receiver.toSender().close();
  assert.equal(receiver.tryGet()?.decode(), 1);
  assert.equal(receiver.tryGet()?.isDead, true);
  receiver.close();
  assert.equal(receiver.tryGet(), undefined);
});

test("Receiver.abort ends the receiver with the given reason; queued messages can still be read", async () => {
  const receiver = new Receiver(lonely(), { handle: 2000 });
  const reason = new RangeError("mine");
  const waits = [receiver.get(), receiver.get()];
  await send(receiver, 1);
  await send(receiver, 2, 3);
  receiver.abort(reason);
  receiver.abort(new Error("another"));
  assert.equal((await (waits[0] as Promise<Message>)).decode(), 1);
  assert.deepEqual([receiver.isClosed, receiver.endError, receiver.size()], [true, reason, 1]);
  assert.equal((await receiver.get()).decode(), 3);
  await assert.rejects(receiver.get(), (error) => error === reason);
});

test("Receiver.endError distinguishes an error from the delivery of the one message", async () => {
  const oneShot = new Receiver(lonely(), { persist: false });
  assert.deepEqual([oneShot.isClosed, oneShot.endError], [false, undefined]);
  await send(oneShot, 1);
  assert.deepEqual([oneShot.isClosed, oneShot.endError], [true, undefined]);
  oneShot.close();
  assert.ok(oneShot.endError instanceof ChannelError);
});

test("Receiver refuses a flood from a context that ignores credit, and takes messages again once it is read", async (t) => {
  const records = captureLogs(t, "error");
  const { master, child } = masterAndChild();
  const receiver = new Receiver<Uint8Array>(master);
  const raw = Buffer.alloc(33 * 1024 * 1024);
  const flood = (replyTo = 0): void =>
    child.route(Message.to(child, { dstId: 0, handle: receiver.handle, replyTo }, { raw }));
  for (let i = 0; i < 4; i++) flood();
  assert.equal(receiver.size(), 4);
  const refused = new Promise<string>((resolve) => {
    const replyTo = child.listen((frame) => resolve(deadReason(frame)));
    flood(replyTo);
  });
  const reason = `Cannot deliver message to handle ${receiver.handle} of context 0: ${4 * (raw.length + 512)} bytes of context 1 are unread`;
  assert.equal(await refused, reason);
  assert.deepEqual(printed(records), [`error: ${reason}`]);
  // This affects neither other senders nor messages that the program sends to itself.
  await receiver.toSender().send(raw);
  assert.equal(receiver.size(), 5);
  receiver.tryGet();
  flood();
  assert.equal(receiver.size(), 5);
});

test("Receiver refuses a handle that no Sender may name", () => {
  const router = lonely();
  assert.throws(() => new Receiver(router, { handle: Handle.FIRST_REPLY }), {
    name: "RangeError",
    message: "Cannot make receiver: handle must be below 939524096, got 939524096",
  });
  assert.equal(new Receiver(router, { handle: Handle.FIRST_REPLY - 1 }).handle, Handle.FIRST_REPLY - 1);
});
