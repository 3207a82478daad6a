/** What a router does with frames for a neighbour that does not read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deadReason } from "../../src/core/message.ts";
import { FrameRouter, MAX_BACKLOG_BYTES } from "../../src/routing/frame-router.ts";
import type { Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";
import { dead, deadSentTo, frame, middle } from "../support/frame-routers.ts";

const HALF = [Buffer.alloc(MAX_BACKLOG_BYTES / 2)];
/** A context elsewhere in the tree. */
const STRANGER = 99;
const CREDIT_HANDLE = 2 ** 30;

/** Context 5. Its parent has brought more for child 6 than may wait. */
function full() {
  const routed = middle();
  const { parent, six } = routed;
  six.isBackedUp = true;
  for (let i = 0; i < 2; i++) parent.receive(frame({ srcId: STRANGER, dstId: 6, body: HALF }));
  assert.equal(six.sent.length, 2);
  six.sent.length = 0;
  six.queuedBytes = MAX_BACKLOG_BYTES;
  return routed;
}

test("FrameRouter answers requests to a child that does not read, in the child's name", () => {
  const { parent, six } = full();
  parent.receive(frame({ srcId: STRANGER, dstId: 6, replyTo: 1500 }));
  assert.deepEqual(six.sent, []);
  assert.equal(parent.sent[0]?.srcId, 6);
  assert.equal(
    deadSentTo(parent, STRANGER, 1500),
    "Cannot send message to context 6: six does not read what was sent before",
  );
});

test("FrameRouter tells a child that does not read which replies it does not get", () => {
  const { parent, six } = full();
  parent.receive(frame({ srcId: STRANGER, dstId: 6, body: HALF }));
  assert.match(deadSentTo(six, 6, 2000), /does not read/);
  // A reply from above is refused as well, although the child has asked for it.
  six.sent.length = 0;
  parent.receive(frame({ dstId: 6, handle: 2001, body: HALF }));
  assert.match(deadSentTo(six, 6, 2001), /does not read/);
});

test("FrameRouter still passes messages from above, and dead messages, to a child that does not read", () => {
  const { parent, six } = full();
  const frames = [
    frame({ dstId: 6, handle: Handle.SHUTDOWN }),
    frame({ dstId: 6, handle: Handle.CALL_FUNCTION, replyTo: 1500, body: HALF }),
    frame({ dstId: 6, replyTo: CREDIT_HANDLE, body: HALF }),
    dead({ dstId: 6 }),
    dead({ srcId: STRANGER, dstId: 6 }),
  ];
  for (const each of frames) parent.receive(each);
  assert.deepEqual(six.sent, frames);
});

test("FrameRouter passes everything on again once the child has read", () => {
  const { parent, six } = full();
  six.drain();
  const late = frame({ srcId: STRANGER, dstId: 6 });
  parent.receive(late);
  assert.deepEqual(six.sent, [late]);
});

test("FrameRouter does not count messages from above against others", () => {
  const { parent, six } = middle();
  six.isBackedUp = true;
  six.queuedBytes = 2 * MAX_BACKLOG_BYTES;
  const frames = Array.from({ length: 4 }, () =>
    frame({ dstId: 6, handle: Handle.CALL_FUNCTION, body: HALF }),
  );
  frames.push(frame({ srcId: STRANGER, dstId: 6 }));
  for (const each of frames) parent.receive(each);
  assert.deepEqual(six.sent, frames);
});

test("FrameRouter drops a flood of dead messages for a child that does not read", () => {
  const { parent, six } = full();
  const flood = dead({ srcId: STRANGER, dstId: 6 });
  const most = { ...flood, body: HALF };
  for (let i = 0; i < 3; i++) parent.receive(most);
  const before = six.sent.length;
  parent.receive(flood);
  assert.equal(six.sent.length, before);
  // No dead message from above is lost.
  parent.receive(dead({ dstId: 6 }));
  assert.equal(six.sent.length, before + 1);
});

test("FrameRouter refuses nothing from another child while that child can be stopped", () => {
  const { router, six, seven } = full();
  const frames = [1, 2].map(() => frame({ srcId: 7, dstId: 6, replyTo: 1500 }));
  seven.receive(frames[0] as Frame);
  assert.deepEqual(six.sent, [frames[0]]);
  Object.assign(router.peerOf(6) ?? {}, { isStuck: true });
  seven.receive(frames[1] as Frame);
  assert.equal(six.sent.length, 1);
  assert.match(deadSentTo(seven, 7, 1500), /six does not read/);
});

test("FrameRouter refuses messages from strangers, but not from above, to a main thread that does not read", () => {
  const router = new FrameRouter({ contextId: 5, parentIds: [0] });
  const [parent, main] = [new FakeLink("parent"), new FakeLink("main thread")];
  router.attach(main, 5, "inner");
  router.attach(parent, 0, "parent");
  main.isBackedUp = true;
  main.queuedBytes = 2 * MAX_BACKLOG_BYTES;
  for (let i = 0; i < 3; i++) parent.receive(frame({ srcId: STRANGER, dstId: 5, body: HALF }));
  assert.deepEqual(
    main.sent.map(({ body }) => body[0]?.length),
    [HALF[0]?.length, HALF[0]?.length, ...main.sent.slice(2).map(({ body }) => body[0]?.length)],
  );
  assert.match(deadReason(main.sent[2] as Frame), /main thread does not read/);
  const answer = frame({ dstId: 5, handle: 3000, body: HALF });
  parent.receive(answer);
  assert.equal(main.sent.at(-1), answer);
});
