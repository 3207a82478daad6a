import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import { Receiver } from "../../src/core/receiver.ts";
import { CoreRouter } from "../../src/core/router.ts";
import { Sender } from "../../src/core/sender.ts";
import type { Peer } from "../../src/routing/peer.ts";
import { Handle } from "../../src/wire/handles.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { connect, FakeRouter, masterAndChild } from "../support/fake-tree.ts";

const PING = 2000;
const pong = (message: Message) => message.reply(["pong", message.decode()]);

/** Master 0, middle 1, leaf 2. The part that announces routes is missing, so the master gets the route from here. */
function threeInARow(options: { unidirectional?: boolean } = {}) {
  const master = new FakeRouter({ contextId: 0, ...options });
  const middle = new FakeRouter({ contextId: 1, parentIds: [0], ...options });
  const leaf = new FakeRouter({ contextId: 2, parentIds: [1, 0], ...options });
  const { wire: upper, context: middleContext } = connect(master, middle);
  const lower = connect(middle, leaf);
  const context = master.introduce(2, "leaf");
  assert.equal(master.addRoute(2, master.peerOf(1) as Peer), true);
  return {
    master,
    middle,
    leaf,
    upper,
    context,
    middleContext,
    lower: lower.wire,
    leafInMiddle: lower.context,
  };
}

test("CoreRouter.addHandler passes messages with context and reply; the reply reaches only the sender", async () => {
  const { master, child } = masterAndChild();
  const seen: string[] = [];
  master.addHandler(
    (message) => {
      seen.push(message.context.name);
      pong(message);
    },
    { handle: PING },
  );
  assert.deepEqual(await child.contextById(0).request(PING, { n: 1 }), ["pong", { n: 1 }]);
  assert.deepEqual(seen, ["child.1"]);
});

test("CoreRouter.addHandler logs the error of an async handler, and calls the handler again", async (t) => {
  const records = captureLogs(t);
  const { master, child } = masterAndChild();
  master.addHandler(
    async (message) => {
      pong(message);
      await Promise.reject(new Error(`broken by ${message.decode()}`));
    },
    { handle: PING },
  );
  for (const n of [1, 2]) {
    assert.deepEqual(await child.contextById(0).request(PING, n), ["pong", n]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(records.length, n);
    assert.equal(records[n - 1]?.level, "error");
    assert.match(
      records[n - 1]?.message ?? "",
      new RegExp(`^Handler for 2000 failed: Error: broken by ${n}`),
    );
  }
});

test("CoreRouter.addHandler with persist false is called once, then the handle is free", async () => {
  const { master, child } = masterAndChild();
  master.addHandler(pong, { handle: PING, persist: false });
  const parent = child.contextById(0);
  assert.deepEqual(await parent.request(PING, 1), ["pong", 1]);
  await assert.rejects(parent.request(PING, 2), {
    name: "ChannelError",
    message: /handle 2000 of context 0/,
  });
  master.addHandler(pong, { handle: PING });
  assert.deepEqual(await parent.request(PING, 3), ["pong", 3]);
});

test("CoreRouter.addHandler takes messages only from its respondent, and its end as one dead message", (t) => {
  const { master, child, context, wire } = masterAndChild();
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  connect(master, other);
  captureLogs(t); // the refusal is logged, see frame-router-trust.test.ts
  const seen: unknown[] = [];
  const handle = master.addHandler((message) => seen.push(message.isDead ? "dead" : message.decode()), {
    respondent: context,
  });
  void new Sender(other, 0, handle).send("stranger");
  void new Sender(child, 0, handle).send("expected");
  wire.cut();
  assert.deepEqual(seen, ["expected", "dead"]);
});

test("CoreRouter.delHandler answers later messages with dead messages", async () => {
  const { master, child } = masterAndChild();
  const handle = master.addHandler(pong);
  master.delHandler(handle);
  master.delHandler(handle);
  await assert.rejects(child.contextById(0).request(handle, 1), /no such handle/);
});

test("CoreRouter.contextById returns the same object while a context is reachable, and keeps no invented ones", () => {
  const { master, context, wire } = masterAndChild();
  assert.equal(master.contextById(1), context);
  assert.equal(master.contextById(0), master.myself());
  assert.notEqual(master.contextById(77), master.contextById(77));
  wire.cut();
  assert.notEqual(master.contextById(1), context);
});

test("CoreRouter.myself is this context under the name self", () => {
  const router = new CoreRouter(undefined, { contextId: 3, parentIds: [0] });
  assert.deepEqual([router.myself().contextId, router.myself().name], [3, "self"]);
});

test("CoreRouter marks a context gone when its link ends; disconnected resolves, before and after", async () => {
  const { context, wire } = masterAndChild();
  const before = context.disconnected;
  wire.cut("child.1: connection closed");
  await before;
  await context.disconnected;
  assert.equal(context.goneReason, "child.1: connection closed");
});

test("CoreRouter.shutdownContext resolves when the context is disconnected", async () => {
  const { master, child, context, wire } = masterAndChild();
  child.addHandler(() => queueMicrotask(() => wire.cut("as asked")), { handle: Handle.SHUTDOWN });
  await context.shutdown();
  assert.equal(context.goneReason, "as asked");
  assert.equal(master.fakeBroker.holds, 0);
  await context.shutdown();
});

test("CoreRouter.shutdownContext without wait resolves when the request is sent", async () => {
  const { child, context, wire } = masterAndChild();
  const asked: number[] = [];
  child.addHandler((message) => asked.push(message.replyTo), { handle: Handle.SHUTDOWN });
  wire.hold();
  await context.shutdown({ wait: false });
  assert.deepEqual(asked, []);
  wire.release();
  assert.deepEqual(asked, [0]);
});

test("CoreRouter.shutdownContext resolves for a context that does not answer, after ten seconds", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { master, child, context } = masterAndChild();
  let asked = 0;
  child.addHandler(() => void asked++, { handle: Handle.SHUTDOWN });
  let isOver = false;
  const ended = context.shutdown().then(() => {
    isOver = true;
  });
  t.mock.timers.tick(9999);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([asked, isOver, master.fakeBroker.holds], [1, false, 1]);
  t.mock.timers.tick(1);
  await ended;
  assert.equal(master.fakeBroker.holds, 0);
});

test("CoreRouter.shutdownContext resolves for a context that nobody can reach, and for itself", async () => {
  const { master, child } = masterAndChild();
  await master.contextById(77).shutdown();
  await master.myself().shutdown();
  await child.contextById(77).shutdown();
  assert.deepEqual([master.fakeBroker.holds, child.fakeBroker.holds], [0, 0]);
});

test("CoreRouter: a request is answered through a middle, both ways", async () => {
  const { master, leaf, context } = threeInARow();
  leaf.addHandler(pong, { handle: PING });
  master.addHandler(pong, { handle: PING });
  assert.deepEqual(await context.request(PING, "down"), ["pong", "down"]);
  assert.deepEqual(await leaf.contextById(0).request(PING, "up"), ["pong", "up"]);
});

test("CoreRouter: waits at the top end when the way to a leaf breaks", async () => {
  const { context, middleContext, upper } = threeInARow();
  upper.hold();
  const waits = [context.request(PING, 1), middleContext.request(PING, 1)];
  upper.cut("the middle died");
  for (const wait of waits) await assert.rejects(wait, { name: "ChannelError", message: "the middle died" });
  assert.deepEqual([context.goneReason, middleContext.goneReason], ["the middle died", "the middle died"]);
});

test("CoreRouter.delRoutes ends waits for the leaf, but not for the middle", async () => {
  const { master, middle, context, middleContext, upper } = threeInARow();
  const requests = new Receiver<number>(middle, { handle: PING });
  upper.hold();
  const [lost, kept] = [context.request(PING, 1), middleContext.request(PING, 2)];
  master.delRoutes([2, 77], "the leaf died");
  await assert.rejects(lost, { name: "ChannelError", message: "the leaf died" });
  await context.disconnected;
  upper.release();
  (await requests.get()).reply("answer");
  assert.equal(await kept, "answer");
  await assert.rejects(
    context.call(() => 1),
    { name: "MitogenError" },
  );
});

test("CoreRouter.addRoute changes no existing route, and adds none to itself", () => {
  const { master } = threeInARow();
  const other = new FakeRouter({ contextId: 3, parentIds: [0] });
  connect(master, other);
  const [one, three] = [master.peerOf(1) as Peer, master.peerOf(3) as Peer];
  assert.deepEqual(
    [master.addRoute(2, three), master.addRoute(2, one), master.addRoute(0, three)],
    [false, true, false],
  );
  assert.deepEqual([master.addRoute(1, three), master.peerOf(2), master.peerOf(0)], [false, one, undefined]);
  // Context 2 is known behind the middle, but it is no neighbour.
  assert.deepEqual([master.isImmediateChild(2), master.isImmediateChild(1)], [false, true]);
});

test("CoreRouter.delRoutes of unknown contexts is not an error, and ends waits for them", async () => {
  const { master, context } = masterAndChild();
  const wait = new Receiver(master, { respondent: master.contextById(77) }).get();
  master.delRoutes([77, 78], "told so");
  master.delRoutes([77], "told again");
  await assert.rejects(wait, { name: "ChannelError", message: "told so" });
  assert.equal(context.goneReason, undefined);
});

test("CoreRouter believes only the middle about the leaf behind it", async (t) => {
  const records = captureLogs(t, "error");
  const { master, leaf } = threeInARow();
  const other = new FakeRouter({ contextId: 3, parentIds: [0] });
  const { wire } = connect(master, other);
  const receiver = new Receiver<string>(master);
  await new Sender<string>(leaf, 0, receiver.handle).send("true");
  const forged = Message.to(leaf, { dstId: 0, handle: receiver.handle }, { value: "forged" });
  wire.right.send(forged);
  assert.equal(receiver.size(), 1);
  assert.match(records[0]?.message ?? "", /^Dropped message from child.3: bad authId 2/);
});

test("CoreRouter: cousins exchange messages through the context above both, unless it is unidirectional", async () => {
  for (const unidirectional of [false, true]) {
    const { master, leaf } = threeInARow({ unidirectional });
    const cousin = new FakeRouter({ contextId: 3, parentIds: [0], unidirectional });
    connect(master, cousin);
    cousin.addHandler(pong, { handle: PING });
    const answer = leaf.contextById(3).request(PING, 1);
    if (unidirectional) await assert.rejects(answer, /from context 2 to 3: context 1 is unidirectional/);
    else assert.deepEqual(await answer, ["pong", 1]);
  }
});

test("CoreRouter: a request that reaches the middle after the leaf's end is answered, not bounced", async () => {
  const { upper, lower, leafInMiddle, context } = threeInARow();
  upper.hold();
  const wait = context.request(PING, 1);
  lower.cut("the leaf died");
  assert.equal(leafInMiddle.goneReason, "the leaf died");
  upper.release();
  await assert.rejects(wait, {
    name: "ChannelError",
    message: "Cannot route message to context 2: no route from context 1",
  });
  assert.equal(upper.right.sent.length, 1);
});

test("CoreRouter: an oversized argument and an oversized reply both end in an error, and the next request works", async () => {
  const { child, context } = masterAndChild({ maxMessageBytes: 1000 });
  child.addHandler((message) => message.reply(new Uint8Array(message.decode() as number)), { handle: PING });
  await assert.rejects(context.request(PING, new Uint8Array(1000)), {
    name: "ChannelError",
    message: /Cannot send message of \d+ bytes to context 1: exceeds maxMessageBytes 1000/,
  });
  await assert.rejects(context.request(PING, 1000), {
    name: "ChannelError",
    message: /Cannot send message of \d+ bytes to context 0: exceeds maxMessageBytes 1000/,
  });
  assert.equal(((await context.request(PING, 900)) as Uint8Array).length, 900);
});

test("CoreRouter: pending requests to one child end, and those to another continue", async () => {
  const { master, context, wire } = masterAndChild();
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  const second = connect(master, other);
  const receiver = new Receiver<string>(other, { handle: PING });
  wire.hold();
  const [lost, kept] = [context.request(PING, 1), second.context.request(PING, "kept")];
  wire.cut("one died");
  await assert.rejects(lost, { message: "one died" });
  (await receiver.get()).reply("answer");
  assert.equal(await kept, "answer");
});

test("CoreRouter that is unidirectional answers a sibling's request with a dead message", async () => {
  const { master, child } = masterAndChild({ unidirectional: true });
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  connect(master, other);
  other.addHandler(pong, { handle: PING });
  await assert.rejects(child.contextById(2).request(PING, 1), {
    name: "ChannelError",
    message: "Cannot route message from context 1 to 2: context 0 is unidirectional",
  });
});

test("CoreRouter: requests into and out of a branch, which alone is unidirectional, are answered", async () => {
  const master = new FakeRouter({ contextId: 0 });
  const middle = new FakeRouter({ contextId: 1, parentIds: [0], unidirectional: true });
  const leaf = new FakeRouter({ contextId: 2, parentIds: [1, 0], unidirectional: true });
  const other = new FakeRouter({ contextId: 3, parentIds: [0] });
  for (const [parent, child] of [
    [master, middle],
    [middle, leaf],
    [master, other],
  ] as const) {
    connect(parent, child);
  }
  master.addRoute(2, master.peerOf(1) as Peer);
  const refused = (from: number, to: number): object => ({
    name: "ChannelError",
    message: `Cannot route message from context ${from} to ${to}: context 1 is unidirectional`,
  });
  await assert.rejects(other.contextById(2).request(PING, 1), refused(3, 2));
  await assert.rejects(leaf.contextById(3).request(PING, 1), refused(2, 3));
});
