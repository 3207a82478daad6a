import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Router } from "../../src/index.ts";
import { ID_BLOCK_SIZE } from "../../src/routing/id-allocator.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame, joinBody } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { FakeLink } from "../support/fake-link.ts";

/** Away from the ids that the router gives out. */
const LEFT = 9001;
const RIGHT = 9002;

function programWithTwo(): { router: Router; left: FakeLink; right: FakeLink } {
  const router = new Router();
  const [left, right] = [new FakeLink("left"), new FakeLink("right")];
  router.attach(left, LEFT, "child");
  router.attach(right, RIGHT, "child");
  return { router, left, right };
}

function message(srcId: number, handle: number, value: unknown): Frame {
  return {
    encoding: Encoding.CBOR,
    dstId: 0,
    srcId,
    authId: srcId,
    handle,
    replyTo: 1000,
    body: encodeValue(value),
  };
}

/** The last message that the program sent over `link`. */
function lastSent(link: FakeLink): [replyTo: number, value: unknown] {
  const frame = link.sent[link.sent.length - 1] as Frame;
  return [frame.replyTo, decodeValue(joinBody(frame))];
}

function allocate(link: FakeLink, srcId: number, wanted: unknown): [replyTo: number, value: unknown] {
  link.receive(message(srcId, Handle.ALLOCATE_ID, wanted));
  return lastSent(link);
}

describe("Router, asked for ids by a context (ALLOCATE_ID)", () => {
  it("gives each request a block of its own, one after the other", async () => {
    const { router, left, right } = programWithTwo();
    const first = 1;
    assert.deepEqual(allocate(left, LEFT, null), [Handle.ALLOCATE_ID, [first, first + ID_BLOCK_SIZE]]);
    const second = first + ID_BLOCK_SIZE;
    assert.deepEqual(allocate(right, RIGHT, RIGHT), [Handle.ALLOCATE_ID, [second, second + ID_BLOCK_SIZE]]);
    await router.shutdown();
  });

  it("gives no ids for a request that wants no reply, because they would be lost", async () => {
    const { router, left } = programWithTwo();
    left.receive({ ...message(LEFT, Handle.ALLOCATE_ID, null), replyTo: 0 });
    assert.equal(left.sent.length, 0);
    assert.deepEqual(allocate(left, LEFT, null), [Handle.ALLOCATE_ID, [1, 1 + ID_BLOCK_SIZE]]);
    await router.shutdown();
  });

  it("accepts the route to an id only from the link behind which the id was given", async () => {
    const { router, left, right } = programWithTwo();
    const logs = collectLogs();
    const [, [start]] = allocate(left, LEFT, null) as [number, [number, number]];
    for (const id of [start, LEFT, 0, 424242]) {
      right.receive(message(RIGHT, Handle.ADD_ROUTE, [id, "thief", "20.0.0"]));
      assert.notEqual(router.peerOf(id)?.link.name, "right");
    }
    assert.ok(logs.records.filter(({ message }) => /Refused route to context/.test(message)).length >= 3);
    left.receive(message(LEFT, Handle.ADD_ROUTE, [start, "own", "20.0.0"]));
    assert.equal(router.peerOf(start)?.link.name, "left");
    assert.equal(router.contextById(start).name, `context.${LEFT}.own`);
    logs.stop();
    await router.shutdown();
  });

  it("gives ids for a context below the one that asks, and for no other", async () => {
    const { router, left } = programWithTwo();
    const [, [start]] = allocate(left, LEFT, null) as [number, [number, number]];
    left.receive(message(LEFT, Handle.ADD_ROUTE, [start, "below", "20.0.0"]));
    const [kind, [below]] = allocate(left, LEFT, start) as [number, [number, number]];
    assert.equal(kind, Handle.ALLOCATE_ID);
    left.receive(message(LEFT, Handle.ADD_ROUTE, [below, "deep", "20.0.0"]));
    assert.equal(router.contextById(below).via?.contextId, start);
    for (const wanted of [RIGHT, 0, 424242, "left", [LEFT], { a: 1 }, -1, 1.5]) {
      const [isDead, reason] = allocate(left, LEFT, wanted);
      assert.equal(isDead, Handle.IS_DEAD, String(wanted));
      assert.match(String(reason), /Cannot allocate ids for .*: it is not below context 9001/);
    }
    // Nor for the context above the one that asks.
    left.receive({ ...message(start, Handle.ALLOCATE_ID, LEFT) });
    assert.match(String(lastSent(left)[1]), /it is not below/);
    await router.shutdown();
  });

  it("refuses more blocks to a child that asks without end", async () => {
    const { router, left, right } = programWithTwo();
    let last: [number, unknown] = [0, undefined];
    for (let count = 0; count < 5000 && last[0] !== Handle.IS_DEAD; count++)
      last = allocate(left, LEFT, null);
    assert.match(String(last[1]), /contexts behind context 9001 have had \d+ blocks already/);
    assert.equal(allocate(right, RIGHT, null)[0], Handle.ALLOCATE_ID);
    await router.shutdown();
  });
});
