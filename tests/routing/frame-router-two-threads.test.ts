/** The two routers of a child, which share its id: the broker thread's and the main thread's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deadReason } from "../../src/core/message.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { FakeRouter } from "../support/fake-tree.ts";
import { LinkPair } from "../support/link-pair.ts";

const FIRST_BROKER_HANDLE = 0x80000000;

function child() {
  const identity = { contextId: 1, parentIds: [0] };
  const broker = new FrameRouter({ ...identity, firstHandle: FIRST_BROKER_HANDLE });
  const main = new FakeRouter(identity);
  const wire = new LinkPair("main thread", "broker thread");
  broker.attach(wire.left, 1, "inner");
  main.attach(wire.right, 1, "outer");
  const parent = new FakeLink("parent");
  broker.attach(parent, 0, "parent");
  return { broker, main, parent };
}

const fromParent = (change: Partial<Frame>): Frame => ({
  encoding: Encoding.RAW,
  dstId: 1,
  srcId: 0,
  authId: 0,
  handle: 2000,
  replyTo: 0,
  body: [],
  ...change,
});

/** Adds a handler that answers with an empty message, as that of PING does. */
function answer(broker: FrameRouter, handle: number): void {
  broker.listen(
    ({ srcId, replyTo }) =>
      broker.routeFrame(fromParent({ dstId: srcId, srcId: 1, authId: 1, handle: replyTo })),
    { handle },
  );
}

test("A child's request to itself is answered by its broker thread", async () => {
  const { broker, main } = child();
  answer(broker, Handle.PING);
  assert.equal(String(await main.myself().request(Handle.PING, null)), "");
});

test("A child's request to itself for a handle that neither thread has gets a dead message", async () => {
  const { main } = child();
  await assert.rejects(main.myself().request(4711, null), {
    name: "ChannelError",
    message: "Cannot deliver message to handle 4711 of context 1: no such handle",
  });
});

test("A request to a child for a handle that neither thread has gets a dead message, once", () => {
  const { parent } = child();
  parent.receive(fromParent({ handle: 4711, replyTo: 1500 }));
  assert.deepEqual(
    parent.sent.map((each) => [each.srcId, each.dstId, each.handle, each.replyTo, deadReason(each)]),
    [[1, 0, 1500, Handle.IS_DEAD, "Cannot deliver message to handle 4711 of context 1: no such handle"]],
  );
});

test("A child's request is answered by its broker thread when the parent is gone", async () => {
  const { main, parent } = child();
  parent.end("the master died");
  await assert.rejects(main.contextById(7).request(2000, null), {
    name: "ChannelError",
    message: "Cannot route message to context 7: no route from context 1",
  });
});

test("A child's broker thread tells the main thread who is gone, whomever it waits for", async () => {
  const { broker, main } = child();
  main.addHandler(
    (message) => {
      const [contextId, reason] = message.decode() as [number, string];
      main.delRoutes([contextId], reason);
    },
    { handle: Handle.DEL_ROUTE, policy: ({ authId }) => main.hasAuthority(authId) },
  );
  const wait = main.contextById(7).request(2000, null);
  broker.peerOf(1)?.link.send({
    ...fromParent({ srcId: 1, authId: 1, handle: Handle.DEL_ROUTE, encoding: Encoding.CBOR }),
    body: encodeValue([7, "it died"]),
  });
  await assert.rejects(wait, { name: "ChannelError", message: "it died" });
});

test("A child's broker thread passes on nothing that claims to come from the child itself", (t) => {
  const records = captureLogs(t, "error");
  const { main, parent } = child();
  const seen: Frame[] = [];
  main.listen((each) => seen.push(each), { handle: 2000 });
  parent.receive(fromParent({ srcId: 1, authId: 1 }));
  parent.receive(fromParent({ authId: 1 }));
  assert.deepEqual([seen.length, records.length], [0, 2]);
  parent.receive(fromParent({}));
  assert.equal(seen.length, 1);
});

test("The threads of a child never give out the same handle", () => {
  const { broker, main } = child();
  const ignore = (): void => undefined;
  assert.deepEqual(
    [main.listen(ignore), broker.listen(ignore), main.listen(ignore), broker.listen(ignore)],
    [Handle.FIRST_REPLY, FIRST_BROKER_HANDLE, Handle.FIRST_REPLY + 1, FIRST_BROKER_HANDLE + 1],
  );
});
