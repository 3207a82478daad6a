import assert from "node:assert/strict";
import { test } from "node:test";
import { type FrameHandlerOptions, FrameRouter } from "../../src/core/frame-router.ts";
import { deadReason } from "../../src/core/message.ts";
import { encodeValue } from "../../src/wire/encoder.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";

const MAX_BYTES = 100;

/** Context 5 below the master, with children 6 and 7, a grandchild-less middle of a tree. */
function middle(options: { unidirectional?: boolean } = {}) {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0], maxMessageBytes: MAX_BYTES, ...options });
  const links = { parent: new FakeLink("parent"), six: new FakeLink("six"), seven: new FakeLink("seven") };
  router.attach(links.parent, 2, "parent");
  router.attach(links.six, 6, "child");
  router.attach(links.seven, 7, "child");
  return { router, ...links };
}

/** The top of a tree, with children 1 and 2. */
function top(options: { unidirectional?: boolean } = {}) {
  const router = new FrameRouter({ contextId: 0, maxMessageBytes: MAX_BYTES, ...options });
  const links = { one: new FakeLink("one"), two: new FakeLink("two") };
  router.attach(links.one, 1, "child");
  router.attach(links.two, 2, "child");
  return { router, ...links };
}

function frame(change: Partial<Frame>): Frame {
  const srcId = change.srcId ?? 0;
  return {
    encoding: Encoding.RAW,
    dstId: 0,
    srcId,
    authId: srcId,
    handle: 2000,
    replyTo: 0,
    body: [Buffer.from("x")],
    ...change,
  };
}

const dead = (change: Partial<Frame>, reason = "gone"): Frame =>
  frame({ encoding: Encoding.CBOR, replyTo: Handle.IS_DEAD, body: encodeValue(reason), ...change });

/** A handler that keeps what it gets. */
function listen(router: FrameRouter, options: FrameHandlerOptions = {}): { frames: Frame[]; handle: number } {
  const frames: Frame[] = [];
  return { frames, handle: router.listen((each) => frames.push(each), options) };
}

/** Asserts that `link` was sent one dead message to `dstId:handle` and nothing else; answers its reason. */
function deadSentTo(link: FakeLink, dstId: number, handle: number): string {
  assert.equal(link.sent.length, 1, `${link.name} was sent ${link.sent.length} frames`);
  const [answer] = link.sent as [Frame];
  assert.deepEqual([answer.dstId, answer.handle, answer.replyTo], [dstId, handle, Handle.IS_DEAD]);
  return deadReason(answer);
}

// Handlers.

test("FrameRouter.listen gives free handles from 1000 upwards and skips taken ones", () => {
  const { router } = top();
  listen(router, { handle: 1001 });
  assert.deepEqual([listen(router).handle, listen(router).handle, listen(router).handle], [1000, 1002, 1003]);
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

test("FrameRouter.listen with overwrite takes the handle over and tells whoever had it", () => {
  const { router } = top();
  const earlier = listen(router, { handle: 2000 });
  const later = listen(router, { handle: 2000, overwrite: true });
  assert.equal(earlier.frames.length, 1);
  assert.match(deadReason(earlier.frames[0] as Frame), /handle 2000/);
  router.routeFrame(frame({}));
  assert.deepEqual([earlier.frames.length, later.frames.length], [1, 1]);
});

test("FrameRouter.listen with overwrite takes a service over without a dead message to it", () => {
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
      // Its number is free again already.
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

test("FrameRouter logs what a handler throws, and the link goes on", (t) => {
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

test("FrameRouter delivers what is for it, sends what is below it down and the rest up", () => {
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

test("FrameRouter hands on the same frame, body and all, without looking into it", () => {
  const { six, seven } = middle();
  const hostile = frame({ srcId: 7, dstId: 6, encoding: Encoding.CBOR, body: [Buffer.from("ff", "hex")] });
  seven.receive(hostile);
  assert.equal(six.sent[0], hostile);
});

test("FrameRouter keeps the order of what it forwards", () => {
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

test("FrameRouter answers a message to an unknown handle dead, naming handle and context", () => {
  const { one } = top();
  one.receive(frame({ srcId: 1, handle: 4711, replyTo: 1500 }));
  assert.equal(
    deadSentTo(one, 1, 1500),
    "Cannot deliver message to handle 4711 of context 0: no such handle",
  );
  const [answer] = one.sent as [Frame];
  assert.deepEqual([answer.srcId, answer.authId], [0, 0]);
});

test("FrameRouter answers a message to an unknown context dead, naming it and itself", () => {
  const { one } = top();
  one.receive(frame({ srcId: 1, dstId: 42, replyTo: 1500 }));
  assert.equal(deadSentTo(one, 1, 1500), "Cannot route message to context 42: no route from context 0");
});

test("FrameRouter never sends back up what came from the parent for an unknown context", () => {
  const { parent, six, seven } = middle();
  parent.receive(frame({ srcId: 9, dstId: 42, replyTo: 1500 }));
  assert.equal(deadSentTo(parent, 9, 1500), "Cannot route message to context 42: no route from context 5");
  assert.deepEqual([six.sent, seven.sent], [[], []]);
});

test("FrameRouter answers nothing to messages that want no answer, and never a dead message", () => {
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

// Source verification.

test("FrameRouter drops a child's message with an authId or srcId that is not behind it, as an error", (t) => {
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

test("FrameRouter stamps a link's own authority on all that arrives by it, whatever it claims (RTR-14)", () => {
  const { router } = top();
  const link = new FakeLink("listener");
  router.attach(link, 9, "child", { authId: 0 });
  const { frames, handle } = listen(router, { policy: ({ authId }) => router.hasAuthority(authId) });
  link.receive(frame({ srcId: 9, authId: 1, handle }));
  assert.deepEqual([frames[0]?.srcId, frames[0]?.authId], [9, 0]);
  link.receive(frame({ srcId: 1, authId: 1, handle }));
  assert.equal(frames.length, 1, "it still speaks for nobody else");
});

test("FrameRouter believes nobody about an id once the link to it is gone", (t) => {
  const records = captureLogs(t, "error");
  const { router, one, two } = top();
  const own = listen(router);
  two.end("two died");
  one.receive(frame({ srcId: 2, handle: own.handle }));
  assert.deepEqual([own.frames.length, records.length], [0, 1]);
});

// Policies.

test("FrameRouter answers a message its policy refuses dead, and the handler does not see it", (t) => {
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
  // The refused one did not use the handler up.
  two.receive(frame({ srcId: 2, handle: own.handle }));
  assert.deepEqual([own.frames.length, asked], [1, [1, 2]]);
});

test("FrameRouter takes anything but true, and a policy that throws, for a refusal", () => {
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

test("FrameRouter takes a dead answer from a context above, which knows that the respondent cannot be reached", () => {
  for (const hopId of [2, 0]) {
    const { router, parent } = middle();
    const own = listen(router, { isPersistent: false, respondentId: 99 });
    parent.receive(dead({ srcId: hopId, dstId: 5, handle: own.handle }, "no route"));
    assert.equal(own.frames.length, 1);
  }
});

test("FrameRouter takes no dead answer from a stranger for another context's", (t) => {
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

test("FrameRouter wakes exactly the handlers that wait for contexts behind a link that ends", () => {
  const { router, one } = top();
  const lost: unknown[] = [];
  const waitingForOne = [
    listen(router, { respondentId: 1 }),
    listen(router, { respondentId: 1, isPersistent: false }),
  ];
  const others = [listen(router, { respondentId: 2 }), listen(router), listen(router, { respondentId: 77 })];
  router.onContextsLost = (ids, reason) =>
    // They were told before.
    lost.push([ids, reason, waitingForOne.map(({ frames }) => frames.length)]);
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

test("FrameRouter wakes waiters although one of them throws, and one adds and removes handlers meanwhile", (t) => {
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

test("FrameRouter.attach: the link to the parent tells onParentLost, once", () => {
  const { router, parent } = middle();
  const reasons: string[] = [];
  router.onParentLost = (reason) => reasons.push(reason);
  router.onContextsLost = () => reasons.push("contexts");
  parent.end("master died");
  assert.deepEqual(reasons, ["master died"]);
  // There is no way up any more: requests end here.
  const own = listen(router);
  router.routeFrame(frame({ srcId: 5, dstId: 0, replyTo: own.handle }));
  assert.match(
    deadReason(own.frames[0] as Frame),
    /Cannot route message to context 0: no route from context 5/,
  );
});

// Sizes.

test("FrameRouter answers an oversized request to whoever made it, and sends nothing", () => {
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

test("FrameRouter sends a dead message in place of an oversized reply: its waiter wakes", () => {
  const { router, one } = top();
  router.routeFrame(frame({ dstId: 1, handle: 1500, body: [new Uint8Array(MAX_BYTES + 1)] }));
  assert.match(deadSentTo(one, 1, 1500), /message of 101 bytes to context 1: exceeds maxMessageBytes 100/);
});

test("FrameRouter sends a body of exactly maxMessageBytes", () => {
  const { router, one } = top();
  router.routeFrame(frame({ dstId: 1, body: [new Uint8Array(MAX_BYTES)] }));
  assert.equal(one.sent.length, 1);
});

test("FrameRouter ends although a reason is itself over maxMessageBytes", () => {
  const router = new FrameRouter({ contextId: 0, maxMessageBytes: 3 });
  const link = new FakeLink();
  router.attach(link, 1, "child");
  link.receive(frame({ srcId: 1, handle: 4711, replyTo: 1500 }));
  assert.ok(link.sent.length <= 1);
});

// Unidirectional.

test("FrameRouter that is unidirectional refuses messages between children, naming both and itself", (t) => {
  const records = captureLogs(t);
  const { one, two } = top({ unidirectional: true });
  one.receive(frame({ srcId: 1, dstId: 2, replyTo: 1500 }));
  const reason = "Cannot route message from context 1 to 2: context 0 is unidirectional";
  assert.equal(deadSentTo(one, 1, 1500), reason);
  // Nobody else would be believed by who waits for 2; that it comes from here is in the authority.
  assert.deepEqual([one.sent[0]?.srcId, one.sent[0]?.authId], [2, 0]);
  assert.equal(two.sent.length, 0);
  assert.equal(records[0]?.level, "debug");
  assert.match(records[0]?.message ?? "", /from context 1 to 2: context 0 is unidirectional/);
});

test("FrameRouter that is unidirectional passes what goes to or comes with the authority of those above", () => {
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

test("FrameRouter that is unidirectional refuses both ways between its children and strangers above", () => {
  const { parent, six } = middle({ unidirectional: true });
  six.receive(frame({ srcId: 6, dstId: 99, replyTo: 1500 }));
  assert.match(deadSentTo(six, 6, 1500), /from context 6 to 99: context 5 is unidirectional/);
  six.sent.length = 0;
  parent.receive(frame({ srcId: 99, dstId: 6, replyTo: 1500 }));
  assert.match(deadSentTo(parent, 99, 1500), /from context 99 to 6: context 5 is unidirectional/);
  assert.equal(six.sent.length, 0);
});

test("FrameRouter that is not unidirectional lets siblings talk without asking anyone above", () => {
  const { parent, six, seven } = middle();
  six.receive(frame({ srcId: 6, dstId: 7 }));
  assert.deepEqual([seven.sent.length, parent.sent.length], [1, 0]);
});

// Services and the end.

test("FrameRouter drops dead messages in front of a service", () => {
  const { router, one } = top();
  const service = listen(router, { handle: 110, isService: true });
  one.receive(dead({ srcId: 1, handle: 110 }));
  router.routeFrame(frame({ dstId: 42, replyTo: 110 })); // its own dead answer
  router.endHandlers("over");
  assert.deepEqual(service.frames, []);
});

test("FrameRouter.endHandlers tells every handler once and forgets it", () => {
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

test("FrameRouter.listen after endHandlers tells the handler at once: nothing will come", () => {
  const { router, one } = top();
  router.endHandlers("The router was shut down");
  const late = listen(router);
  assert.deepEqual(late.frames.map(deadReason), ["The router was shut down"]);
  one.receive(frame({ srcId: 1, handle: late.handle }));
  assert.equal(late.frames.length, 1);
});

// Beside a main thread.

test("FrameRouter with an inner peer hands it what no handler here takes, and answers it dead what it sent itself", () => {
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
  // Whatever reached the sibling came with the authority of its true sender.
  assert.ok(two.sent.length > 0);
  for (const { authId, srcId } of two.sent) assert.deepEqual([authId, srcId], [1, 1]);
});

test("FrameRouter.isImmediateChild is true for children at the end of own links only", () => {
  const { router, six } = middle();
  assert.deepEqual(
    [6, 7, 5, 2, 0, 99].map((id) => router.isImmediateChild(id)),
    [true, true, false, false, false, false],
  );
  six.end("gone");
  assert.equal(router.isImmediateChild(6), false);
});

test("FrameRouter.hasAuthority is true for itself and those above", () => {
  const { router } = middle();
  assert.deepEqual(
    [5, 2, 0, 6, 1, 99].map((id) => router.hasAuthority(id)),
    [true, true, true, false, false, false],
  );
});

test("FrameRouter of a main thread takes what its broker thread sends in their own context's name (BAD-07)", (t) => {
  const records = captureLogs(t);
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const outer = new FakeLink("broker thread");
  router.attach(outer, 5, "outer");
  const { frames, handle } = listen(router, { respondentId: 5 });
  outer.receive(dead({ srcId: 5, dstId: 5, handle }, "no such handle"));
  assert.equal(deadReason(frames[0] as Frame), "no such handle");
  assert.deepEqual(printed(records), []);
});
