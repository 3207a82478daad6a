/** Which frames a router passes on as bytes, and which it has to read: docs/protocol.md#routing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinkEvents } from "../../src/links/link.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { frame } from "../support/frame-routers.ts";

/** A link over which frames come and go as bytes, if the router takes bytes. */
class ByteLink extends FakeLink {
  readonly passed: Frame[] = [];
  #events: LinkEvents | undefined;

  override open(events: LinkEvents): void {
    this.#events = events;
    super.open(events);
  }

  sendBytes(bytes: Buffer, start: number, end: number): boolean {
    if (this.isBackedUp) return false;
    new FrameDecoder(1000).push(Buffer.from(bytes.subarray(start, end)), (each) => this.passed.push(each));
    return true;
  }

  /** Lets a frame arrive within memory that is used again. Returns whether it was passed on as bytes. */
  arrive(each: Frame): boolean {
    const encoded = Buffer.concat(encodeFrame(each));
    const memory = Buffer.concat([Buffer.alloc(7, 1), encoded, Buffer.alloc(9, 2)]);
    const isPassed = this.#events?.onBytes?.(memory, 7, 7 + encoded.length) === true;
    memory.fill(0xee);
    if (!isPassed) this.receive(each);
    return isPassed;
  }
}

/** Context 5 below 2, which is below the master; with a main thread, and with children 6 and 7. */
function hop(options: { unidirectional?: boolean } = {}) {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0], ...options });
  const [parent, inner, six, seven] = [
    new ByteLink("parent"),
    new ByteLink("main"),
    new ByteLink("six"),
    new ByteLink("seven"),
  ];
  router.attach(parent, 2, "parent");
  router.attach(inner, 5, "inner");
  router.attach(six, 6, "child");
  router.attach(seven, 7, "child");
  return { router, parent, inner, six, seven };
}

const CALL = { handle: Handle.CALL_FUNCTION, replyTo: 3000 };

test("Calls and replies that pass a context leave it as the bytes that came", () => {
  const { parent, inner, six } = hop();
  const call = frame({ srcId: 0, dstId: 6, ...CALL, body: [Buffer.from("call")] });
  const answer = frame({ srcId: 6, dstId: 0, handle: 3000, body: [Buffer.from("answer")] });
  const own = frame({ srcId: 0, dstId: 5, ...CALL });
  assert.ok(parent.arrive(call) && six.arrive(answer) && parent.arrive(own));
  const same = (passed: readonly Frame[], each: Frame): void =>
    assert.deepEqual(
      passed.map(encodeFrame).map((pieces) => Buffer.concat(pieces)),
      [Buffer.concat(encodeFrame(each))],
    );
  same(six.passed, call);
  same(parent.passed, answer);
  same(inner.passed, own);
});

const LOOKED_AT: readonly [what: string, from: "parent" | "six", change: Partial<Frame>][] = [
  ["a part", "parent", { srcId: 0, dstId: 6, ...CALL, encoding: Encoding.PART }],
  ["modules", "parent", { srcId: 0, dstId: 6, handle: Handle.LOAD_MODULE }],
  ["a route", "six", { srcId: 6, dstId: 2, handle: Handle.ADD_ROUTE }],
  ["the end of a route", "six", { srcId: 6, dstId: 0, handle: Handle.DEL_ROUTE }],
  [
    "ids that the master has given out",
    "parent",
    { srcId: 0, dstId: 6, handle: 3000, replyTo: Handle.ALLOCATE_ID },
  ],
  ["a request for a child", "parent", { srcId: 0, dstId: 6, handle: Handle.CONNECT_CHILD, replyTo: 3000 }],
  ["a message between children", "six", { srcId: 6, dstId: 7, handle: 3000 }],
  ["a message for an unknown context", "parent", { srcId: 0, dstId: 99, ...CALL }],
  [
    "a message that claims to come from another child",
    "six",
    { srcId: 7, authId: 6, dstId: 0, handle: 3000 },
  ],
  [
    "a message that claims the authority of another child",
    "six",
    { srcId: 6, authId: 7, dstId: 0, handle: 3000 },
  ],
  [
    "a message that claims the authority of a context above",
    "six",
    { srcId: 6, authId: 0, dstId: 2, ...CALL },
  ],
  [
    "a message that claims the authority of this context",
    "six",
    { srcId: 5, authId: 5, dstId: 0, handle: 3000 },
  ],
];

for (const [what, from, change] of LOOKED_AT) {
  test(`A context handles ${what} as frames, and not as bytes`, (t) => {
    captureLogs(t);
    const [bytes, frames] = [hop(), hop()];
    assert.equal(bytes[from].arrive(frame(change)), false);
    frames[from].receive(frame(change));
    for (const name of ["parent", "inner", "six", "seven"] as const) {
      assert.deepEqual(bytes[name].sent, frames[name].sent, name);
      assert.deepEqual(bytes[name].passed, [], name);
    }
  });
}

test("A context passes no bytes to a link that is or was backed up, because waiting frames are counted", () => {
  const { parent, six } = hop();
  six.isBackedUp = true;
  const answer = frame({ srcId: 0, dstId: 6, handle: 3000 });
  assert.deepEqual([parent.arrive(answer), parent.arrive(answer)], [false, false]);
  six.isBackedUp = false;
  assert.equal(parent.arrive(answer), false, "others wait for its turn");
  six.drain();
  assert.equal(parent.arrive(answer), true);
});

test("A handler of the broker thread gets its messages, not the main thread", () => {
  const { router, parent, inner } = hop();
  const found: Frame[] = [];
  router.listen((each) => found.push(each), { handle: 3000 });
  assert.equal(parent.arrive(frame({ srcId: 0, dstId: 5, handle: 3000 })), false);
  assert.deepEqual([found.length, inner.passed, inner.sent], [1, [], []]);
});

test("A unidirectional router, a master and the link of a listener look at every frame", () => {
  const call = frame({ srcId: 0, dstId: 6, ...CALL });
  assert.equal(hop({ unidirectional: true }).parent.arrive(call), false);
  const master = new FrameRouter({ contextId: 0 });
  const [one, two] = [new ByteLink("one"), new ByteLink("two")];
  master.attach(one, 1, "child");
  master.attach(two, 2, "child");
  assert.equal(one.arrive(frame({ srcId: 1, dstId: 2, handle: 3000 })), false);
  const stamped = new FrameRouter({ contextId: 5, parentIds: [0] });
  const [parent, client] = [new ByteLink("parent"), new ByteLink("client")];
  stamped.attach(parent, 0, "parent");
  stamped.attach(client, 8, "child", { authId: 5 });
  assert.equal(client.arrive(frame({ srcId: 8, dstId: 0, handle: 3000 })), false);
  assert.deepEqual(
    parent.sent.map(({ authId }) => authId),
    [5],
  );
});
