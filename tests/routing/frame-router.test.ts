import assert from "node:assert/strict";
import { test } from "node:test";
import { deadReason } from "../../src/core/message.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { dead, deadSentTo, frame, listen, MAX_BYTES, middle, top } from "../support/frame-routers.ts";

// Handlers.

test("FrameRouter.listen gives free handles from FIRST_REPLY upwards and skips taken ones", () => {
  const { router } = top();
  const first = Handle.FIRST_REPLY;
  listen(router, { handle: first + 1 });
  assert.deepEqual(
    [listen(router).handle, listen(router).handle, listen(router).handle],
    [first, first + 2, first + 3],
  );
});

test("FrameRouter.listen refuses a taken handle and takes it after unlisten", () => {
  const { router } = top();
  listen(router, { handle: 2000 });
  assert.throws(() => listen(router, { handle: 2000 }), {
    name: "RangeError",
    message: "Cannot add handler: handle 2000 is taken; pass overwrite to replace it",
  });
  router.unlisten(2000);
  assert.equal(listen(router, { handle: 2000 }).handle, 2000);
});

test("FrameRouter.listen with overwrite takes the handle over and tells the earlier handler", () => {
  const { router } = top();
  const earlier = listen(router, { handle: 2000 });
  const later = listen(router, { handle: 2000, overwrite: true });
  assert.equal(earlier.frames.length, 1);
  assert.match(deadReason(earlier.frames[0] as Frame), /handle 2000/);
  router.routeFrame(frame({}));
  assert.deepEqual([earlier.frames.length, later.frames.length], [1, 1]);
});

test("FrameRouter.listen with overwrite takes over from a service without a dead message to it", () => {
  const { router } = top();
  const earlier = listen(router, { handle: 2000, isService: true });
  listen(router, { handle: 2000, overwrite: true });
  assert.equal(earlier.frames.length, 0);
});

test("FrameRouter removes a handler that is not persistent before its first message", () => {
  const { router, one } = top();
  const seen: Frame[] = [];
  const handle = router.listen(
    (each) => {
      seen.push(each);
      // The handle is already free again.
      listen(router, { handle: each.handle, isPersistent: false });
    },
    { isPersistent: false },
  );
  one.receive(frame({ srcId: 1, handle }));
  assert.equal(seen.length, 1);
  router.unlisten(handle);
  one.receive(frame({ srcId: 1, handle, replyTo: 1500 }));
  assert.match(deadSentTo(one, 1, 1500), /no such handle/);
});

test("FrameRouter logs the error of a handler, and the link continues", (t) => {
  const records = captureLogs(t);
  const { router, one } = top();
  router.listen(
    () => {
      throw new Error("broken handler");
    },
    { handle: 2000 },
  );
  one.receive(frame({ srcId: 1 }));
  one.receive(frame({ srcId: 1 }));
  assert.deepEqual(
    records.map(({ level }) => level),
    ["error", "error"],
  );
  assert.match(records[0]?.message ?? "", /^Handler for 2000 failed: Error: broken handler/);
});

// Delivery and forwarding.

test("FrameRouter delivers messages for itself, sends those for contexts below down and the rest up", () => {
  const { router, parent, six, seven } = middle();
  const own = listen(router);
  const [toSelf, toSix, toFar] = [
    frame({ srcId: 7, dstId: 5, handle: own.handle }),
    frame({ srcId: 7, dstId: 6 }),
    frame({ srcId: 7, dstId: 99 }),
  ];
  for (const each of [toSelf, toSix, toFar]) seven.receive(each);
  assert.deepEqual([own.frames, six.sent, parent.sent, seven.sent], [[toSelf], [toSix], [toFar], []]);
});

test("FrameRouter passes the same frame object on, without looking into its body", () => {
  const { six, seven } = middle();
  const hostile = frame({ srcId: 7, dstId: 6, encoding: Encoding.CBOR, body: [Buffer.from("ff", "hex")] });
  seven.receive(hostile);
  assert.equal(six.sent[0], hostile);
});

test("FrameRouter keeps the order of the frames it forwards", () => {
  const { six, seven } = middle();
  const handles = Array.from({ length: 50 }, (_, index) => 3000 + index);
  for (const handle of handles) seven.receive(frame({ srcId: 7, dstId: 6, handle }));
  assert.deepEqual(
    six.sent.map(({ handle }) => handle),
    handles,
  );
});

test("FrameRouter delivers to itself and answers itself without a link", () => {
  const router = new FrameRouter({ contextId: 0 });
  const own = listen(router);
  router.routeFrame(frame({ handle: own.handle }));
  router.routeFrame(frame({ dstId: 9, replyTo: own.handle }));
  assert.equal(own.frames.length, 2);
  assert.equal(
    deadReason(own.frames[1] as Frame),
    "Cannot route message to context 9: no route from context 0",
  );
});

// Dead messages.

test("FrameRouter answers a message to an unknown handle with a dead message that names handle and context", () => {
  const { one } = top();
  one.receive(frame({ srcId: 1, handle: 4711, replyTo: 1500 }));
  assert.equal(
    deadSentTo(one, 1, 1500),
    "Cannot deliver message to handle 4711 of context 0: no such handle",
  );
  const [answer] = one.sent as [Frame];
  assert.deepEqual([answer.srcId, answer.authId], [0, 0]);
});

test("FrameRouter answers a message to an unknown context with a dead message that names the context and itself", () => {
  const { one } = top();
  one.receive(frame({ srcId: 1, dstId: 42, replyTo: 1500 }));
  assert.equal(deadSentTo(one, 1, 1500), "Cannot route message to context 42: no route from context 0");
});

test("FrameRouter never sends a message from the parent for an unknown context back up", () => {
  const { parent, six, seven } = middle();
  parent.receive(frame({ srcId: 9, dstId: 42, replyTo: 1500 }));
  assert.equal(deadSentTo(parent, 9, 1500), "Cannot route message to context 42: no route from context 5");
  assert.deepEqual([six.sent, seven.sent], [[], []]);
});

test("FrameRouter answers neither messages that want no reply nor dead messages", () => {
  const { parent, six } = middle();
  parent.receive(frame({ srcId: 9, dstId: 42 }));
  parent.receive(dead({ srcId: 9, dstId: 42 }));
  six.receive(frame({ srcId: 6, dstId: 5, handle: 4711 }));
  six.receive(dead({ srcId: 6, dstId: 5, handle: 4711 }));
  assert.deepEqual([parent.sent, six.sent], [[], []]);
});

test("FrameRouter answers a request that races with the end of its target", () => {
  const { one, two } = top();
  two.end("two died");
  one.receive(frame({ srcId: 1, dstId: 2, replyTo: 1500 }));
  assert.match(deadSentTo(one, 1, 1500), /Cannot route message to context 2/);
  assert.equal(two.sent.length, 0);
});

// The end of a link.

test("FrameRouter ends exactly the handlers that wait for contexts behind a link that ends", () => {
  const { router, one } = top();
  const lost: unknown[] = [];
  const waitingForOne = [
    listen(router, { respondentId: 1 }),
    listen(router, { respondentId: 1, isPersistent: false }),
  ];
  const others = [listen(router, { respondentId: 2 }), listen(router), listen(router, { respondentId: 77 })];
  router.lossListeners.push((ids, reason) =>
    // The handlers ended before.
    lost.push([ids, reason, waitingForOne.map(({ frames }) => frames.length)]),
  );
  one.end("one died");
  for (const { frames, handle } of waitingForOne) {
    assert.equal(frames.length, 1);
    const [told] = frames as [Frame];
    assert.deepEqual(
      [told.srcId, told.handle, told.replyTo, deadReason(told)],
      [0, handle, Handle.IS_DEAD, "one died"],
    );
  }
  for (const { frames } of others) assert.equal(frames.length, 0);
  assert.deepEqual(lost, [[[1], "one died", [1, 1]]]);
  // They are removed, persistent or not.
  router.endRespondents(new Set([1]), "again");
  assert.deepEqual(
    waitingForOne.map(({ frames }) => frames.length),
    [1, 1],
  );
});

test("FrameRouter ends all waiting handlers even if one throws, and one adds and removes handlers meanwhile", (t) => {
  captureLogs(t);
  const { router, one } = top();
  const own: number[] = [];
  router.listen(
    () => {
      throw new Error("broken");
    },
    { respondentId: 1 },
  );
  router.listen(
    () => {
      own.push(1);
      router.unlisten(last);
      listen(router, { respondentId: 1 });
    },
    { respondentId: 1 },
  );
  const last = router.listen(() => own.push(2), { respondentId: 1 });
  one.end("one died");
  assert.equal(own[0], 1);
});

test("FrameRouter.attach: the end of the link to the parent calls onParentLost, once", () => {
  const { router, parent } = middle();
  const reasons: string[] = [];
  router.onParentLost = (reason) => reasons.push(reason);
  router.lossListeners.push(() => reasons.push("contexts"));
  parent.end("master died");
  assert.deepEqual(reasons, ["master died"]);
  // The parent is gone, so requests end here.
  const own = listen(router);
  router.routeFrame(frame({ srcId: 5, dstId: 0, replyTo: own.handle }));
  assert.match(
    deadReason(own.frames[0] as Frame),
    /Cannot route message to context 0: no route from context 5/,
  );
});

// Sizes.

test("FrameRouter tells the sender of an oversized request, and sends nothing", () => {
  const { router, one } = top();
  const own = listen(router, { isPersistent: false, respondentId: 1 });
  const body = [new Uint8Array(MAX_BYTES), new Uint8Array(1)];
  router.routeFrame(frame({ dstId: 1, replyTo: own.handle, body }));
  assert.equal(one.sent.length, 0);
  assert.equal(
    deadReason(own.frames[0] as Frame),
    `Cannot send message of 101 bytes to context 1: exceeds maxMessageBytes 100`,
  );
});

test("FrameRouter sends a dead message in place of an oversized reply", () => {
  const { router, one } = top();
  router.routeFrame(frame({ dstId: 1, handle: 1500, body: [new Uint8Array(MAX_BYTES + 1)] }));
  assert.match(deadSentTo(one, 1, 1500), /message of 101 bytes to context 1: exceeds maxMessageBytes 100/);
});

test("FrameRouter sends a body of exactly maxMessageBytes", () => {
  const { router, one } = top();
  router.routeFrame(frame({ dstId: 1, body: [new Uint8Array(MAX_BYTES)] }));
  assert.equal(one.sent.length, 1);
});

test("FrameRouter ends a request even if the reason is over maxMessageBytes", () => {
  const router = new FrameRouter({ contextId: 0, maxMessageBytes: 3 });
  const link = new FakeLink();
  router.attach(link, 1, "child");
  link.receive(frame({ srcId: 1, handle: 4711, replyTo: 1500 }));
  assert.ok(link.sent.length <= 1);
});

// Services and the end.

test("FrameRouter delivers no dead messages to a service", () => {
  const { router, one } = top();
  const service = listen(router, { handle: 110, isService: true });
  one.receive(dead({ srcId: 1, handle: 110 }));
  router.routeFrame(frame({ dstId: 42, replyTo: 110 })); // gets a dead message from the router itself
  router.endHandlers("over");
  assert.deepEqual(service.frames, []);
});

test("FrameRouter.endHandlers tells every handler once and removes it", () => {
  const { router, one } = top();
  const handlers = [
    listen(router),
    listen(router, { respondentId: 1 }),
    listen(router, { isPersistent: false }),
  ];
  router.endHandlers("The router was shut down");
  router.endHandlers("again");
  one.end("one died");
  for (const { frames } of handlers) {
    assert.deepEqual(frames.map(deadReason), ["The router was shut down"]);
  }
});

test("FrameRouter.listen after endHandlers ends the handler at once", () => {
  const { router, one } = top();
  router.endHandlers("The router was shut down");
  const late = listen(router);
  assert.deepEqual(late.frames.map(deadReason), ["The router was shut down"]);
  one.receive(frame({ srcId: 1, handle: late.handle }));
  assert.equal(late.frames.length, 1);
});

// Beside a main thread.

test("FrameRouter gives its inner peer messages that no handler takes, and answers those of the inner peer with dead messages", () => {
  const { router, parent, six } = middle();
  const inner = new FakeLink("inner");
  router.attach(inner, 5, "inner");
  const own = listen(router);
  parent.receive(frame({ srcId: 0, dstId: 5, handle: 101 }));
  parent.receive(frame({ srcId: 0, dstId: 5, handle: own.handle }));
  assert.deepEqual(
    inner.sent.map(({ handle }) => handle),
    [101],
  );
  assert.equal(own.frames.length, 1);
  inner.receive(frame({ srcId: 5, dstId: 6 }));
  inner.receive(frame({ srcId: 5, dstId: 0 }));
  assert.deepEqual([six.sent.length, parent.sent.length], [1, 1]);
  inner.sent.length = 0;
  inner.receive(frame({ srcId: 5, dstId: 5, handle: 4711, replyTo: 1500 }));
  assert.match(deadSentTo(inner, 5, 1500), /handle 4711 of context 5: no such handle/);
});

// Hostile frames.

test("FrameRouter survives frames with any numbers in any field", (t) => {
  captureLogs(t, "error");
  const numbers = [0, 1, 2, 3, 100, 101, 106, 999, 1000, 2000, 0x7fffffff, 0xffffffff];
  const { router, one, two } = top();
  const own = listen(router, { handle: 2000, policy: ({ authId }) => router.hasAuthority(authId) });
  for (const dstId of numbers) {
    for (const handle of numbers) {
      for (const replyTo of numbers) {
        for (const srcId of [0, 1, 2, 0xffffffff]) one.receive(frame({ dstId, handle, replyTo, srcId }));
      }
    }
  }
  assert.equal(own.frames.length, 0);
  // All messages that reached the sibling carried the authority of their true sender.
  assert.ok(two.sent.length > 0);
  for (const { authId, srcId } of two.sent) assert.deepEqual([authId, srcId], [1, 1]);
});

test("FrameRouter.isImmediateChild is true only for children at the end of its own links", () => {
  const { router, six } = middle();
  assert.deepEqual(
    [6, 7, 5, 2, 0, 99].map((id) => router.isImmediateChild(id)),
    [true, true, false, false, false, false],
  );
  six.end("gone");
  assert.equal(router.isImmediateChild(6), false);
});

test("FrameRouter.hasAuthority is true for itself and contexts above", () => {
  const { router } = middle();
  assert.deepEqual(
    [5, 2, 0, 6, 1, 99].map((id) => router.hasAuthority(id)),
    [true, true, true, false, false, false],
  );
});
