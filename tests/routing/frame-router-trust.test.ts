import assert from "node:assert/strict";
import { test } from "node:test";
import { deadReason } from "../../src/core/message.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import type { Frame } from "../../src/wire/frame.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { dead, deadSentTo, frame, listen, middle, top } from "../support/frame-routers.ts";

// Source verification.

test("FrameRouter drops a child's message with an authId or srcId that is not behind it, and logs an error", (t) => {
  const records = captureLogs(t);
  const { router, six, seven, parent } = middle();
  const own = listen(router);
  const lies = [
    { authId: 0, srcId: 6, field: "authId 0" }, // the master's authority
    { authId: 2, srcId: 6, field: "authId 2" }, // its parent's
    { authId: 5, srcId: 6, field: "authId 5" }, // this context's
    { authId: 7, srcId: 6, field: "authId 7" }, // its sibling's
    { authId: 99, srcId: 6, field: "authId 99" }, // nobody's
    { authId: 6, srcId: 0, field: "srcId 0" },
    { authId: 6, srcId: 5, field: "srcId 5" },
    { authId: 6, srcId: 7, field: "srcId 7" },
    { authId: 6, srcId: 99, field: "srcId 99" },
  ];
  for (const { field, ...lie } of lies) {
    records.length = 0;
    for (const dstId of [5, 7, 0]) {
      six.receive(frame({ ...lie, dstId, handle: own.handle, replyTo: 1500 }));
      six.receive(dead({ ...lie, dstId, handle: own.handle }));
    }
    assert.equal(records.length, 6, field);
    for (const line of printed(records)) {
      assert.ok(
        line.startsWith(`error: Dropped message from six: bad ${field}, not reachable over that link`),
        line,
      );
    }
  }
  assert.deepEqual([own.frames, six.sent, seven.sent, parent.sent], [[], [], [], []]);
});

test("FrameRouter drops a parent's message that claims to come from here or from below", (t) => {
  const records = captureLogs(t, "error");
  const { router, parent } = middle();
  const own = listen(router);
  for (const id of [5, 6, 7]) {
    parent.receive(frame({ srcId: id, dstId: 5, handle: own.handle }));
    parent.receive(frame({ srcId: 0, authId: id, dstId: 5, handle: own.handle }));
  }
  assert.deepEqual([own.frames.length, records.length], [0, 6]);
  parent.receive(frame({ srcId: 2, dstId: 5, handle: own.handle }));
  parent.receive(frame({ srcId: 99, dstId: 5, handle: own.handle }));
  assert.deepEqual([own.frames.length, records.length], [2, 6]);
});

test("FrameRouter gives all messages from a link the link's own authority, whatever they claim", () => {
  const { router } = top();
  const link = new FakeLink("listener");
  router.attach(link, 9, "child", { authId: 0 });
  const { frames, handle } = listen(router, { policy: ({ authId }) => router.hasAuthority(authId) });
  link.receive(frame({ srcId: 9, authId: 1, handle }));
  assert.deepEqual([frames[0]?.srcId, frames[0]?.authId], [9, 0]);
  link.receive(frame({ srcId: 1, authId: 1, handle }));
  assert.equal(frames.length, 1, "it still speaks for nobody else");
});

test("FrameRouter accepts messages of a context from nobody once the link to it is gone", (t) => {
  const records = captureLogs(t, "error");
  const { router, one, two } = top();
  const own = listen(router);
  two.end("two died");
  one.receive(frame({ srcId: 2, handle: own.handle }));
  assert.deepEqual([own.frames.length, records.length], [0, 1]);
});

test("FrameRouter of a main thread takes messages that its broker thread sends in the name of their context", (t) => {
  const records = captureLogs(t);
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const outer = new FakeLink("broker thread");
  router.attach(outer, 5, "outer");
  const { frames, handle } = listen(router, { respondentId: 5 });
  outer.receive(dead({ srcId: 5, dstId: 5, handle }, "no such handle"));
  assert.equal(deadReason(frames[0] as Frame), "no such handle");
  assert.deepEqual(printed(records), []);
});

// Policies.

test("FrameRouter answers a message that the policy refuses with a dead message, and the handler does not see it", (t) => {
  const records = captureLogs(t);
  const { router, one, two } = top();
  const asked: number[] = [];
  const own = listen(router, {
    isPersistent: false,
    policy: ({ srcId }) => {
      asked.push(srcId);
      return srcId === 2;
    },
  });
  one.receive(frame({ srcId: 1, handle: own.handle, replyTo: 1500 }));
  assert.equal(
    deadSentTo(one, 1, 1500),
    `Cannot deliver message to handle ${own.handle} of context 0: refused by policy`,
  );
  assert.deepEqual(printed(records), [
    `debug: Refused message from context 1 to handle ${own.handle}: policy`,
  ]);
  // The refused message did not use up the handler.
  two.receive(frame({ srcId: 2, handle: own.handle }));
  assert.deepEqual([own.frames.length, asked], [1, [1, 2]]);
});

test("FrameRouter refuses a message if the policy throws, or returns anything but true", () => {
  const { router, one } = top();
  const answers: unknown[] = [false, undefined, 1, "yes", Promise.resolve(true)];
  for (const answer of answers) {
    const own = listen(router, { policy: () => answer as boolean });
    one.receive(frame({ srcId: 1, handle: own.handle }));
    assert.equal(own.frames.length, 0, String(answer));
  }
  const own = listen(router, {
    policy: () => {
      throw new Error("undecided");
    },
  });
  one.receive(frame({ srcId: 1, handle: own.handle }));
  assert.equal(own.frames.length, 0);
});

test("FrameRouter lets no dead message of a refused context through a policy", () => {
  const { router, one } = top();
  const own = listen(router, { policy: ({ srcId }) => srcId === 2 });
  one.receive(dead({ srcId: 1, handle: own.handle }));
  assert.equal(own.frames.length, 0);
});

test("FrameRouter gives a waiting handler its own dead messages whatever the policy says", () => {
  const { router } = top();
  const own = listen(router, { isPersistent: false, policy: ({ srcId }) => srcId === 42 });
  router.routeFrame(frame({ dstId: 42, replyTo: own.handle }));
  assert.equal(own.frames.length, 1);
  assert.match(deadReason(own.frames[0] as Frame), /Cannot route message to context 42/);
});

// Respondents.

test("FrameRouter takes messages for a respondent's handler from that context alone", (t) => {
  const records = captureLogs(t, "error");
  const { router, one, two } = top();
  const own = listen(router, { isPersistent: false, respondentId: 2 });
  one.receive(frame({ srcId: 1, handle: own.handle, replyTo: 1500 }));
  one.receive(dead({ srcId: 1, handle: own.handle }));
  const reason = `Cannot deliver message to handle ${own.handle} of context 0: reply from unexpected context 1`;
  assert.equal(deadSentTo(one, 1, 1500), reason);
  assert.deepEqual(printed(records), [`error: ${reason}`, `error: ${reason}`]);
  two.receive(frame({ srcId: 2, handle: own.handle }));
  assert.deepEqual(
    own.frames.map(({ srcId }) => srcId),
    [2],
  );
});

test("FrameRouter takes a dead message from a context above, which knows that the respondent cannot be reached", () => {
  for (const hopId of [2, 0]) {
    const { router, parent } = middle();
    const own = listen(router, { isPersistent: false, respondentId: 99 });
    parent.receive(dead({ srcId: hopId, dstId: 5, handle: own.handle }, "no route"));
    assert.equal(own.frames.length, 1);
  }
});

test("FrameRouter takes no dead message from a stranger in place of the respondent's reply", (t) => {
  captureLogs(t, "error");
  const { router, parent, six } = middle();
  const far = listen(router, { isPersistent: false, respondentId: 99 });
  parent.receive(dead({ srcId: 98, dstId: 5, handle: far.handle }));
  six.receive(dead({ srcId: 6, dstId: 5, handle: far.handle }));
  const near = listen(router, { isPersistent: false, respondentId: 7 });
  six.receive(dead({ srcId: 6, dstId: 5, handle: near.handle }));
  parent.receive(dead({ srcId: 2, dstId: 5, handle: near.handle }));
  assert.deepEqual([far.frames.length, near.frames.length], [0, 0]);
});

// Unidirectional.

test("FrameRouter that is unidirectional refuses messages between children, and names both and itself", (t) => {
  const records = captureLogs(t);
  const { one, two } = top({ unidirectional: true });
  one.receive(frame({ srcId: 1, dstId: 2, replyTo: 1500 }));
  const reason = "Cannot route message from context 1 to 2: context 0 is unidirectional";
  assert.equal(deadSentTo(one, 1, 1500), reason);
  // A context that waits for 2 believes only 2. The authority shows that the message comes from here.
  assert.deepEqual([one.sent[0]?.srcId, one.sent[0]?.authId], [2, 0]);
  assert.equal(two.sent.length, 0);
  assert.equal(records[0]?.level, "debug");
  assert.match(records[0]?.message ?? "", /from context 1 to 2: context 0 is unidirectional/);
});

test("FrameRouter that is unidirectional passes messages to contexts above, and with their authority", () => {
  const { router, parent, six } = middle({ unidirectional: true });
  const own = listen(router);
  for (const dstId of [0, 2]) six.receive(frame({ srcId: 6, dstId }));
  six.receive(frame({ srcId: 6, dstId: 5, handle: own.handle }));
  assert.deepEqual([parent.sent.length, own.frames.length], [2, 1]);
  for (const srcId of [0, 2]) parent.receive(frame({ srcId, dstId: 6 }));
  // A parent speaks through a stranger.
  parent.receive(frame({ srcId: 99, authId: 0, dstId: 6 }));
  router.routeFrame(frame({ srcId: 5, dstId: 6 }));
  assert.equal(six.sent.length, 4);
});

test("FrameRouter that is unidirectional refuses messages between its children and strangers above, both ways", () => {
  const { parent, six } = middle({ unidirectional: true });
  six.receive(frame({ srcId: 6, dstId: 99, replyTo: 1500 }));
  assert.match(deadSentTo(six, 6, 1500), /from context 6 to 99: context 5 is unidirectional/);
  six.sent.length = 0;
  parent.receive(frame({ srcId: 99, dstId: 6, replyTo: 1500 }));
  assert.match(deadSentTo(parent, 99, 1500), /from context 99 to 6: context 5 is unidirectional/);
  assert.equal(six.sent.length, 0);
});

test("FrameRouter that is not unidirectional lets siblings exchange messages without asking a context above", () => {
  const { parent, six, seven } = middle();
  six.receive(frame({ srcId: 6, dstId: 7 }));
  assert.deepEqual([seven.sent.length, parent.sent.length], [1, 0]);
});
