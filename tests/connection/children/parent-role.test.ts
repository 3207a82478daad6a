/**
 * What the broker thread of a context with children accepts from them. What it does for them is tested in
 * e2e/tree.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ParentRole } from "../../../src/connection/children/parent-role.ts";
import { FrameRouter } from "../../../src/routing/frame-router.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../../src/wire/frame.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { FakeLink } from "../../support/fake-link.ts";
import { captureLogs, printed } from "../../support/fake-log-sink.ts";

/** Context 5, two below the master, with children 6 and 7. */
function parent() {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const links = { above: new FakeLink("above"), six: new FakeLink("six"), seven: new FakeLink("seven") };
  const main = new FakeLink("main thread");
  const end = {
    flush: () => undefined,
    abort: () => undefined,
    flushOutput: () => undefined,
    keepaliveMs: 0,
  };
  new ParentRole(router, main, end, () => undefined);
  router.attach(main, 5, "inner");
  router.attach(links.above, 2, "parent");
  router.attach(links.six, 6, "child");
  router.attach(links.seven, 7, "child");
  return { router, ...links };
}

function frame(srcId: number, dstId: number, handle: number, value: unknown): Frame {
  const body = encodeValue(value);
  return { encoding: Encoding.CBOR, dstId, srcId, authId: srcId, handle, replyTo: 0, body };
}

const request = (srcId: number, dstId: number, contextId: number): Frame =>
  frame(srcId, dstId, Handle.CONNECT_CHILD, ["local", {}, { contextId, remoteName: "x", logLevel: 3 }, 0]);
const claim = (srcId: number, contextId: number): Frame =>
  frame(srcId, 5, Handle.ADD_ROUTE, [contextId, "name"]);

test("ParentRole accepts a route to a context that a child, or a context behind the child, was asked to start", () => {
  const { router, above, six } = parent();
  above.receive(request(0, 6, 8));
  six.receive(claim(6, 8));
  assert.equal(router.peerOf(8)?.link, six);
  above.receive(request(0, 8, 9));
  six.receive(claim(6, 9));
  assert.equal(router.peerOf(9)?.link, six);
  assert.deepEqual(
    above.sent.map(({ handle }) => handle),
    [Handle.ADD_ROUTE, Handle.ADD_ROUTE],
  );
  // The requests went on as they were.
  assert.deepEqual(
    six.sent.map(({ dstId, handle }) => [dstId, handle]),
    [
      [6, Handle.CONNECT_CHILD],
      [8, Handle.CONNECT_CHILD],
    ],
  );
});

test("ParentRole refuses a route to a context that no child, or another child, was asked to start", (t) => {
  const records = captureLogs(t, "error");
  const { router, above, six, seven } = parent();
  six.receive(claim(6, 8));
  above.receive(request(0, 7, 9));
  six.receive(claim(6, 9));
  assert.deepEqual([router.peerOf(8), router.peerOf(9)], [undefined, undefined]);
  assert.deepEqual(printed(records), [
    "error: Refused route to context 8 from six: it does not own the id",
    "error: Refused route to context 9 from six: it does not own the id",
  ]);
  seven.receive(claim(7, 9));
  assert.equal(router.peerOf(9)?.link, seven);
});

test("ParentRole lets an id be claimed once", (t) => {
  captureLogs(t, "error");
  const { router, above, six } = parent();
  above.receive(request(0, 6, 8));
  six.receive(claim(6, 8));
  six.receive(frame(6, 5, Handle.DEL_ROUTE, [8, "it died"]));
  six.receive(claim(6, 8));
  assert.equal(router.peerOf(8), undefined);
});

test("ParentRole ignores a request to start a context that does not come from above", (t) => {
  captureLogs(t, "error");
  const { router, above, six, seven } = parent();
  seven.receive(request(7, 6, 8));
  above.receive(request(99, 6, 8));
  six.receive(claim(6, 8));
  assert.equal(router.peerOf(8), undefined);
});

test("ParentRole passes on a request that it cannot read", () => {
  const { above, six } = parent();
  for (const value of [null, [], ["local", {}, null, 0]]) {
    above.receive(frame(0, 6, Handle.CONNECT_CHILD, value));
  }
  assert.equal(six.sent.length, 3);
});

test("ParentRole remembers a bounded number of requests, and forgets the oldest first", (t) => {
  captureLogs(t, "error");
  const { router, above, six } = parent();
  const count = 10_001;
  for (let id = 1000; id < 1000 + count; id++) above.receive(request(0, 6, id));
  for (const id of [1000, 1001, 1000 + count - 1]) six.receive(claim(6, id));
  assert.deepEqual(
    [1000, 1001, 1000 + count - 1].map((id) => router.peerOf(id)?.link.name),
    [undefined, "six", "six"],
  );
});
