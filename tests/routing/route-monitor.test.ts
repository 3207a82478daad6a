import assert from "node:assert/strict";
import { test } from "node:test";
import { deadReason } from "../../src/core/message.ts";
import { MAX_ADDRESSEES_PER_CHILD } from "../../src/routing/addressees.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import type { Peer } from "../../src/routing/peer.ts";
import { MAX_CONTEXTS_PER_LINK } from "../../src/routing/route-bounds.ts";
import { type RouteListener, RouteMonitor } from "../../src/routing/route-monitor.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame, joinBody } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../../src/wire/values/references.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";

const VERSION = "22.1.0";

function frame(srcId: number, dstId: number, handle: number, value: unknown = null, replyTo = 0): Frame {
  const body = encodeValue(value);
  return { encoding: Encoding.CBOR, dstId, srcId, authId: srcId, handle, replyTo, body };
}

const added = (srcId: number, dstId: number, contextId: number, name = `name${contextId}`): Frame =>
  frame(srcId, dstId, Handle.ADD_ROUTE, [contextId, name, VERSION]);
const ended = (srcId: number, dstId: number, contextId: number, reason = "it died"): Frame =>
  frame(srcId, dstId, Handle.DEL_ROUTE, [contextId, reason]);

/** Context 5, two below the master, with children 6 and 7 and a main thread. */
function hop(listener: Partial<RouteListener> = {}) {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const links = {
    parent: new FakeLink("parent"),
    six: new FakeLink("six"),
    seven: new FakeLink("seven"),
    mainThread: new FakeLink("main thread"),
  };
  new RouteMonitor(router, { mayClaim: () => true, ...listener });
  router.attach(links.mainThread, 5, "inner");
  router.attach(links.parent, 2, "parent");
  router.attach(links.six, 6, "child");
  router.attach(links.seven, 7, "child");
  return { router, ...links };
}

/** The master with children 1 and 2. */
function top(listener: Partial<RouteListener> = {}) {
  const router = new FrameRouter({ contextId: 0 });
  const [one, two] = [new FakeLink("one"), new FakeLink("two")];
  new RouteMonitor(router, { mayClaim: () => true, ...listener });
  router.attach(one, 1, "child");
  router.attach(two, 2, "child");
  return { router, one, two };
}

/** Returns what was sent over a link, as [handle, value], and forgets it. */
function taken(link: FakeLink): [number, unknown][] {
  return link.sent.splice(0).map((each) => [each.handle, decodeValue(joinBody(each))]);
}

const reaches = (router: FrameRouter, contextId: number): string | undefined =>
  router.peerOf(contextId)?.link.name;

/** Adds a handler that waits for `respondentId`, and keeps the reasons that end it. */
function waitFor(router: FrameRouter, respondentId: number): { handle: number; reasons: string[] } {
  const reasons: string[] = [];
  const handle = router.listen((each) => reasons.push(deadReason(each)), { respondentId });
  return { handle, reasons };
}

// Routes that come.

test("RouteMonitor adds a route to a context that a child announces, and tells its parent", () => {
  const seen: unknown[] = [];
  const { router, parent, six } = hop({
    onRouteAdded: (...added) => seen.push(added),
  });
  six.receive(added(6, 5, 8, "six.eight"));
  assert.equal(reaches(router, 8), "six");
  assert.deepEqual(taken(parent), [[Handle.ADD_ROUTE, [8, "six.eight", VERSION]]]);
  assert.deepEqual(seen, [[8, "six.eight", VERSION]]);
  // The context is behind that link now, and only there.
  parent.receive(frame(0, 8, 2000));
  assert.equal(six.sent.length, 1);
});

test("RouteMonitor refuses a second route to a context with an error, and keeps the first", (t) => {
  const { router, parent, six, seven } = hop();
  six.receive(added(6, 5, 8));
  taken(parent);
  const records = captureLogs(t, "error");
  seven.receive(added(7, 5, 8));
  seven.receive(added(7, 5, 6));
  assert.deepEqual(printed(records), [
    "error: Refused route to context 8 from seven: there is one already",
    "error: Refused route to context 6 from seven: there is one already",
  ]);
  assert.deepEqual([reaches(router, 8), reaches(router, 6), taken(parent)], ["six", "six", []]);
});

test("RouteMonitor refuses a route to itself or to a context above, whatever its listener says", (t) => {
  const records = captureLogs(t, "error");
  const { router, parent, six } = hop();
  const called: Frame[] = [];
  router.listen((each) => called.push(each), {
    handle: Handle.CALL_FUNCTION,
    policy: ({ authId }) => router.hasAuthority(authId),
  });
  for (const contextId of [5, 2, 0]) {
    six.receive(added(6, 5, contextId));
    // The attack for which the child would want the route.
    six.receive(frame(contextId, 5, Handle.CALL_FUNCTION));
  }
  assert.deepEqual([called, taken(parent)], [[], []]);
  assert.match(
    printed(records)[0] ?? "",
    /^error: Refused route to context 5 from six: it does not own the id/,
  );
  assert.equal(records.length, 6);
});

test("RouteMonitor refuses an id that its listener refuses, and a name or a version that is too long", (t) => {
  const records = captureLogs(t, "error");
  const asked: unknown[] = [];
  const { router, parent, six } = hop({
    mayClaim: (id, from) => {
      asked.push([id, from.link.name]);
      return id !== 8;
    },
  });
  six.receive(added(6, 5, 8));
  six.receive(added(6, 5, 9, "n".repeat(MAX_CONTEXT_NAME)));
  six.receive(frame(6, 5, Handle.ADD_ROUTE, [9, "name", "1".repeat(60)]));
  assert.deepEqual([reaches(router, 8), reaches(router, 9), taken(parent)], [undefined, undefined, []]);
  assert.equal(records.length, 3);
  six.receive(added(6, 5, 9, "n".repeat(MAX_CONTEXT_NAME - 1)));
  assert.equal(reaches(router, 9), "six");
  assert.deepEqual(asked, [
    [8, "six"],
    [9, "six"],
  ]);
});

test("RouteMonitor takes routes only from its immediate children", (t) => {
  captureLogs(t);
  const { router, parent, six, mainThread } = hop();
  six.receive(added(6, 5, 8));
  taken(parent);
  six.receive(added(8, 5, 20)); // a grandchild
  parent.receive(added(2, 5, 21));
  parent.receive(added(0, 5, 22));
  mainThread.receive(added(5, 5, 23));
  assert.deepEqual(
    [20, 21, 22, 23].map((id) => reaches(router, id)),
    [undefined, undefined, undefined, undefined],
  );
  assert.deepEqual(taken(parent), []);
});

test("RouteMonitor drops malformed route messages, with an error", (t) => {
  const records = captureLogs(t, "error");
  const { router, parent, six } = hop();
  const malformed: unknown[] = [
    null,
    8,
    "8:name",
    [],
    [8],
    [8, 1],
    ["8", "name"],
    [-1, "name"],
    [1.5, "name"],
    [8, "name", 22],
    [2 ** 32, "name"],
    [8n, "name"],
    { 0: 8, 1: "name" },
  ];
  for (const value of malformed) {
    six.receive(frame(6, 5, Handle.ADD_ROUTE, value));
    six.receive(frame(6, 5, Handle.DEL_ROUTE, value));
  }
  six.receive({ ...added(6, 5, 8), body: [Buffer.from("ff", "hex")] });
  assert.equal(records.length, 2 * malformed.length + 1);
  for (const line of printed(records)) assert.match(line, /^error: Handler for 10[34] failed: /);
  assert.deepEqual([reaches(router, 8), reaches(router, 6), taken(parent)], [undefined, "six", []]);
});

// Contexts that go.

test("RouteMonitor tells its parent of every context behind a link that ends, once", () => {
  const { router, parent, six } = hop();
  for (const id of [8, 9]) six.receive(added(6, 5, id));
  taken(parent);
  six.end("six died");
  six.end("six died again");
  assert.deepEqual(
    taken(parent),
    [6, 8, 9].map((id) => [Handle.DEL_ROUTE, [id, "six died"]]),
  );
  assert.deepEqual(
    [6, 8, 9, 7].map((id) => reaches(router, id)),
    [undefined, undefined, undefined, "seven"],
  );
});

test("RouteMonitor tells each child that ever sent to a context of its end, once, and no other", () => {
  const { one, two, router } = top();
  const three = new FakeLink("three");
  router.attach(three, 3, "child");
  two.receive(added(2, 0, 20));
  two.receive(added(2, 0, 21));
  one.receive(added(1, 0, 10));
  // Messages of a context behind a child count as the child's.
  one.receive(frame(10, 20, 2000));
  one.receive(frame(1, 20, 2000));
  two.receive(frame(21, 20, 2000)); // leaves by the link over which it came
  for (const link of [one, two, three]) taken(link);
  two.receive(ended(2, 0, 20, "twenty died"));
  assert.deepEqual([one, two, three].map(taken), [
    [[Handle.DEL_ROUTE, [20, "twenty died"]]],
    [[Handle.DEL_ROUTE, [20, "twenty died"]]],
    [],
  ]);
  two.end("two died");
  assert.deepEqual([one, two, three].map(taken), [[], [], []]);
});

test("RouteMonitor forgets a child when its link ends", () => {
  const { one, two } = top();
  one.receive(frame(1, 2, 2000));
  one.end("one died");
  taken(one);
  two.end("two died");
  assert.deepEqual(taken(one), []);
});

test("RouteMonitor tells a child that invents ids of every end, and keeps a bounded number of ids", () => {
  const { parent, six, seven } = hop();
  for (let id = 1000; id < 1000 + MAX_ADDRESSEES_PER_CHILD; id++) six.receive(frame(6, id, 2000));
  parent.receive(ended(2, 5, 999));
  assert.deepEqual(taken(six), []);
  six.receive(frame(6, 999_999, 2000));
  six.receive(frame(6, 999_998, 2000));
  // No context behind the link waits for ever, whichever context was one too many.
  for (const id of [1000, 999_999, 999_998, 999]) {
    parent.receive(ended(2, 5, id, "elsewhere"));
    assert.deepEqual(taken(six), [[Handle.DEL_ROUTE, [id, "elsewhere"]]]);
  }
  assert.deepEqual(taken(seven), []);
});

test("RouteMonitor refuses one context too many behind a link, ends it, and says so once", (t) => {
  const { router, parent, six, seven } = hop();
  // The child itself counts. All contexts below this one, including its other child, are behind one link of its
  // parent.
  for (let id = 1000; id < 1000 + MAX_CONTEXTS_PER_LINK - 3; id++) six.receive(added(6, 5, id));
  taken(parent);
  const records = captureLogs(t, "error");
  for (const id of [500_000, 500_001]) six.receive(added(6, 5, id));
  assert.deepEqual([reaches(router, 500_000), taken(parent)], [undefined, []]);
  assert.deepEqual(taken(six), [
    [Handle.SHUTDOWN, null],
    [Handle.SHUTDOWN, null],
  ]);
  assert.deepEqual(printed(records), [
    "error: Refused route to context 500000 from six; ends this context and all later ones: 16383 contexts are below context 5, which is the maximum",
  ]);
  // The farewells of refused contexts are not errors.
  six.receive(ended(6, 5, 500_000));
  assert.equal(records.length, 1);
  // A context that ends makes room, and the accepted ones are not harmed.
  six.receive(ended(6, 5, 1000));
  seven.receive(added(7, 5, 600_000));
  assert.deepEqual([reaches(router, 600_000), reaches(router, 1001)], ["seven", "six"]);
});

test("The program takes 16,384 contexts behind one link, and others behind other links", (t) => {
  captureLogs(t, "error");
  const { router, one, two } = top();
  for (let id = 1000; id < 1000 + MAX_CONTEXTS_PER_LINK; id++) one.receive(added(1, 0, id));
  assert.equal(router.routedIds.size, MAX_CONTEXTS_PER_LINK + 1);
  assert.equal(reaches(router, 1000 + MAX_CONTEXTS_PER_LINK - 2), "one");
  assert.equal(reaches(router, 1000 + MAX_CONTEXTS_PER_LINK - 1), undefined);
  two.receive(added(2, 0, 900_000));
  assert.equal(reaches(router, 900_000), "two");
});

test("The cost of a link's end depends on the contexts behind it, not on all contexts and handlers", () => {
  const { router, one, two } = top();
  for (let id = 1000; id < 17_000; id++) one.receive(added(1, 0, id));
  for (let id = 1000; id < 17_000; id++) waitFor(router, id);
  // One context beside 16,000.
  const twoSteps = stepsOf(() => two.end("two died"));
  const oneSteps = stepsOf(() => one.end("one died"));
  assert.equal(router.handlers.size, 2, "those of the monitor");
  assert.ok(twoSteps < 100, `${twoSteps} steps for one`);
  assert.ok(oneSteps >= 16_000, `${oneSteps} steps for 16,000`);
});

/** Counts the entries of maps and sets that the work visits. */
function stepsOf(work: () => void): number {
  let steps = 0;
  const walks = ["entries", "keys", "values", Symbol.iterator] as const;
  const originals = [Map.prototype, Set.prototype].flatMap((prototype) =>
    walks.map((name) => [prototype as Walkable, name, (prototype as Walkable)[name]] as const),
  );
  for (const [prototype, name, original] of originals) {
    prototype[name] = function* (this: unknown) {
      for (const walk = original.call(this), next = walk.next.bind(walk); ; steps++) {
        const { done, value } = next();
        if (done === true) return;
        yield value;
      }
    };
  }
  try {
    work();
  } finally {
    for (const [prototype, name, original] of originals) prototype[name] = original;
  }
  return steps;
}

type Walkable = Record<
  "entries" | "keys" | "values" | typeof Symbol.iterator,
  (this: unknown) => Iterator<unknown>
>;

test("RouteMonitor passes news of a lost context from its parent on to children that sent there, and ends its own waits", () => {
  const { router, parent, six, seven } = hop();
  const own = waitFor(router, 99);
  six.receive(frame(6, 99, 2000));
  parent.receive(ended(2, 5, 99, "elsewhere"));
  parent.receive(ended(2, 5, 99, "elsewhere, again"));
  assert.deepEqual([taken(six), taken(seven)], [[[Handle.DEL_ROUTE, [99, "elsewhere"]]], []]);
  assert.deepEqual(own.reasons, ["elsewhere"]);
});

test("RouteMonitor removes no route of its own because its parent says so", () => {
  const { router, parent, six } = hop();
  const own = waitFor(router, 6);
  parent.receive(ended(2, 5, 6));
  assert.deepEqual([reaches(router, 6), own.reasons, taken(six)], ["six", [], []]);
});

test("RouteMonitor takes news of lost contexts only from its immediate children and its parent", (t) => {
  const { router, parent, six, seven } = hop();
  six.receive(added(6, 5, 8));
  const own = waitFor(router, 8);
  taken(parent);
  const records = captureLogs(t);
  six.receive(ended(8, 5, 8)); // about itself, but not to its own parent
  parent.receive(ended(0, 5, 8));
  assert.match(printed(records).join("\n"), /Refused message from context 8[\s\S]*from context 0/);
  seven.receive(ended(7, 5, 8));
  assert.equal(
    printed(records).pop(),
    "error: Refused end of the route to context 8 from seven: the route does not lead there",
  );
  assert.deepEqual([reaches(router, 8), own.reasons, taken(parent)], ["six", [], []]);
});

test("RouteMonitor takes a child's news of its own end as a farewell, which ends nothing", () => {
  const farewells: unknown[] = [];
  const { router, parent, six } = hop({
    onFarewell: (id, reason) => farewells.push([id, reason.length]),
  });
  six.receive(ended(6, 5, 6, "x".repeat(20_000)));
  assert.deepEqual(farewells, [[6, 8192]]);
  assert.deepEqual([reaches(router, 6), taken(parent)], ["six", []]);
});

test("RouteMonitor cuts a child's reason before it passes it on", () => {
  const { parent, six } = hop();
  six.receive(added(6, 5, 8));
  taken(parent);
  six.receive(ended(6, 5, 8, "x".repeat(20_000)));
  assert.deepEqual(taken(parent), [[Handle.DEL_ROUTE, [8, "x".repeat(8192)]]]);
});

test("RouteMonitor tells the main thread of every end, even if it saw no message from there", () => {
  const { parent, six, mainThread } = hop();
  six.receive(added(6, 5, 8));
  six.receive(ended(6, 5, 8, "below"));
  parent.receive(ended(2, 5, 99, "elsewhere"));
  six.end("six died");
  assert.deepEqual(taken(mainThread), [
    [Handle.DEL_ROUTE, [8, "below"]],
    [Handle.DEL_ROUTE, [99, "elsewhere"]],
    [Handle.DEL_ROUTE, [6, "six died"]],
  ]);
});

test("RouteMonitor tells the main thread and the parent once, even if they did send there", () => {
  const { parent, seven, mainThread } = hop();
  mainThread.receive(frame(5, 7, 2000));
  parent.receive(frame(2, 7, 2000));
  seven.end("seven died");
  const told = [[Handle.DEL_ROUTE, [7, "seven died"]]];
  assert.deepEqual([taken(mainThread), taken(parent)], [told, told]);
});

test("RouteMonitor passes on that a context above is gone, and believes no child about the master", (t) => {
  const lost: unknown[] = [];
  const { parent, six, mainThread } = hop({ onLostAbove: (...args) => lost.push(args) });
  parent.receive(ended(2, 5, 0, "detached"));
  assert.deepEqual(taken(mainThread), [[Handle.DEL_ROUTE, [0, "detached"]]]);
  assert.deepEqual(lost, [[0, "detached"]]);
  const records = captureLogs(t, "error");
  six.receive(ended(6, 5, 0));
  assert.deepEqual([records.length, lost.length, taken(mainThread)], [1, 1, []]);
});

test("RouteMonitor.forgetAbove tells children about contexts above that they sent to, and about none below", () => {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const [parent, six, seven] = [new FakeLink("parent"), new FakeLink("six"), new FakeLink("seven")];
  const monitor = new RouteMonitor(router, { mayClaim: () => true });
  router.attach(parent, 2, "parent");
  router.attach(six, 6, "child");
  router.attach(seven, 7, "child");
  for (const id of [99, 7]) six.receive(frame(6, id, 2000));
  taken(seven);
  monitor.forgetAbove("detached");
  monitor.forgetAbove("detached, again");
  assert.deepEqual([six, seven].map(taken), [[[Handle.DEL_ROUTE, [99, "detached"]]], []]);
  seven.end("seven died");
  assert.deepEqual(taken(six), [[Handle.DEL_ROUTE, [7, "seven died"]]]);
});

test("RouteMonitor lets messages on their way up leave before it tells the main thread", () => {
  const order: string[] = [];
  const { parent, six, mainThread } = hop({
    beforeMainThread: () => order.push(`${parent.sent.length} up, ${mainThread.sent.length} told`),
  });
  six.end("six died");
  assert.deepEqual(order, ["1 up, 0 told"]);
  assert.equal(mainThread.sent.length, 1);
});

// Waiting for a context deeper than a child.

test("RouteMonitor of a hop ends waits for a context deeper than its child when it is told of the end", () => {
  const { router, six } = hop();
  for (const id of [8, 9]) six.receive(added(6, 5, id));
  const [forNine, forEight] = [waitFor(router, 9), waitFor(router, 8)];
  six.receive(ended(6, 5, 9, "nine died"));
  assert.deepEqual([forNine.reasons, forEight.reasons], [["nine died"], []]);
  six.end("six died");
  assert.deepEqual(forEight.reasons, ["six died"]);
});

test("A hop believes only its child about a context deeper than that child", (t) => {
  captureLogs(t);
  const { router, six } = hop();
  for (const id of [8, 9, 10]) six.receive(added(6, 5, id));
  const waiting = waitFor(router, 9);
  const deadFrom = (srcId: number): void => {
    six.receive({
      ...frame(srcId, 5, waiting.handle, `no route, says ${srcId}`),
      replyTo: Handle.IS_DEAD,
    });
  };
  // Only the master knows whether 8 is on the way. If it is, 6 has already said that 9 is gone.
  for (const srcId of [8, 10]) deadFrom(srcId);
  assert.deepEqual(waiting.reasons, []);
  deadFrom(6);
  assert.deepEqual(waiting.reasons, ["no route, says 6"]);
});

test("A router that knows the tree believes every context on the way to another, and none beside it", (t) => {
  captureLogs(t);
  const { router, one, two } = top();
  for (const id of [8, 9, 10]) one.receive(added(1, 0, id));
  // 1 is above 8 and 10, 8 above 9.
  router.isAbove = (contextId, belowId) =>
    contextId === 1 ? belowId !== 2 : contextId === 8 && belowId === 9;
  const waiting = waitFor(router, 9);
  const deadFrom = (link: FakeLink, srcId: number): void => {
    link.receive({ ...frame(srcId, 0, waiting.handle, `says ${srcId}`), replyTo: Handle.IS_DEAD });
  };
  deadFrom(one, 10);
  deadFrom(two, 2);
  assert.deepEqual(waiting.reasons, []);
  deadFrom(one, 8);
  assert.deepEqual(waiting.reasons, ["says 8"]);
});

test("RouteMonitor.announce tells the parent of a child, and the master tells nobody", () => {
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const parent = new FakeLink("parent");
  const monitor = new RouteMonitor(router, { mayClaim: () => true });
  router.attach(parent, 2, "parent");
  const peer: Peer = router.attach(new FakeLink("six"), 6, "child");
  monitor.announce(6, peer.link.name, VERSION);
  assert.deepEqual(taken(parent), [[Handle.ADD_ROUTE, [6, "six", VERSION]]]);
  const { one, two } = top();
  one.receive(added(1, 0, 10));
  assert.deepEqual([taken(one), taken(two)], [[], []]);
});
