/**
 * The order in which the broker thread of a context that detaches sends and does things. e2e/detach.test.ts
 * shows the result.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ParentRole } from "../../../src/connection/children/parent-role.ts";
import { FrameRouter } from "../../../src/routing/frame-router.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame, joinBody } from "../../../src/wire/frame.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { FakeLink } from "../../support/fake-link.ts";

/** Names of handles, for the log of sent frames. */
const NAMES: Readonly<Record<number, string>> = {
  [Handle.ADD_ROUTE]: "ADD_ROUTE",
  [Handle.DEL_ROUTE]: "DEL_ROUTE",
  [Handle.DETACHING]: "DETACHING",
};

class LoggedLink extends FakeLink {
  readonly log: string[];

  constructor(name: string, log: string[]) {
    super(name);
    this.log = log;
  }

  override send(frame: Frame): boolean {
    this.log.push(`${this.name}: ${NAMES[frame.handle] ?? frame.handle} ${printBody(frame)}`);
    return super.send(frame);
  }
}

function printBody(frame: Frame): string {
  return frame.encoding === Encoding.RAW ? "raw" : JSON.stringify(decodeValue(joinBody(frame)));
}

/** Context 5 below 2 and 0, with its child 6. */
function parent() {
  const log: string[] = [];
  const router = new FrameRouter({ contextId: 5, parentIds: [2, 0] });
  const [above, main, six] = ["above", "main", "six"].map((name) => new LoggedLink(name, log)) as [
    LoggedLink,
    LoggedLink,
    LoggedLink,
  ];
  const end = {
    flush: () => void log.push("flush"),
    abort: (reason: string) => {
      log.push(`abort ${reason}`);
      above.end(reason);
    },
    flushOutput: () => void log.push("flushOutput"),
    keepaliveMs: 0,
  };
  new ParentRole(router, main, end, () => undefined);
  router.attach(main, 5, "inner");
  router.attach(above, 2, "parent");
  router.attach(six, 6, "child");
  return { router, log, above, main, six };
}

function frame(fields: Partial<Frame>, value: unknown): Frame {
  const plain = { encoding: Encoding.CBOR, dstId: 5, srcId: 5, authId: 5, handle: 1000, replyTo: 0 };
  return { ...plain, ...fields, body: encodeValue(value) };
}

const request = (contextId: number): unknown => ["local", {}, { contextId, remoteName: "x", logLevel: 3 }, 0];

/** The main thread asks to detach, and the parent agrees. */
function letGo({ above, main }: ReturnType<typeof parent>): Promise<void> {
  main.receive(frame({ handle: Handle.DETACHING, replyTo: 1234 }, null));
  const { replyTo } = above.sent[above.sent.length - 1] as Frame;
  above.receive({
    ...frame({ srcId: 2, authId: 2, handle: replyTo }, null),
    encoding: Encoding.RAW,
    body: [],
  });
  // ParentRole awaits the answer.
  return new Promise((resolve) => setImmediate(resolve));
}

test("ParentRole tells the main thread of the contexts that it asked for, as it tells the contexts above", () => {
  const { log, main, six } = parent();
  main.receive(frame({ dstId: 6, handle: Handle.CONNECT_CHILD }, request(7)));
  log.length = 0;
  six.receive(frame({ srcId: 6, authId: 6, handle: Handle.ADD_ROUTE }, [7, "seven", "20.0.0"]));
  assert.deepEqual(log, [
    'above: ADD_ROUTE [7,"seven","20.0.0"]',
    "flush",
    'main: ADD_ROUTE [7,"seven","20.0.0"]',
  ]);
  log.length = 0;
  six.receive(frame({ srcId: 6, authId: 6, handle: Handle.DEL_ROUTE }, [7, "died"]));
  assert.deepEqual(log, ['above: DEL_ROUTE [7,"died"]', "flush", 'main: DEL_ROUTE [7,"died"]']);
  // Nobody is told of a context that the main thread has not asked for.
  log.length = 0;
  six.receive(frame({ srcId: 6, authId: 6, handle: Handle.ADD_ROUTE }, [7, "again", "20.0.0"]));
  assert.deepEqual(log, []);
});

test("ParentRole that may detach sends printed output, says farewell, and then has no contexts above", async () => {
  const role = parent();
  const { router, log, above, main, six } = role;
  // 6 has sent to a context elsewhere, and may wait for it.
  six.receive(frame({ dstId: 77, srcId: 6, authId: 6, replyTo: 1000 }, "a question"));
  log.length = 0;
  await letGo(role);
  assert.deepEqual(log, ["above: DETACHING null", "flushOutput", 'above: DEL_ROUTE [5,"was detached"]']);
  log.length = 0;
  above.end("above: connection closed");
  await new Promise((resolve) => setImmediate(resolve));
  const reason = "Context 5 was detached";
  assert.deepEqual(log, [
    `six: DEL_ROUTE [2,"${reason}"]`,
    `six: DEL_ROUTE [0,"${reason}"]`,
    `six: DEL_ROUTE [77,"${reason}"]`,
    // Taps that waited for a slow parent are read again. Otherwise their writers would wait for ever.
    "flushOutput",
    "main: 1234 [6]",
  ]);
  assert.deepEqual([...router.parentIds], []);
  assert.equal(main.sent.length, 1);
});

test("ParentRole does not wait longer than two seconds for a parent that does not close the link", async (t) => {
  const role = parent();
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await letGo(role);
  t.mock.timers.tick(1999);
  assert.ok(!role.log.some((line) => line.startsWith("abort")));
  t.mock.timers.tick(1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(role.log.includes("abort Context 5 was detached"));
  assert.equal(role.log[role.log.length - 1], "main: 1234 [6]");
});

test("ParentRole that may not detach stays as it was, and says why", async () => {
  const { router, log, above, main } = parent();
  main.receive(frame({ handle: Handle.DETACHING, replyTo: 1234 }, null));
  const { replyTo } = above.sent[above.sent.length - 1] as Frame;
  above.receive(frame({ srcId: 2, authId: 2, handle: replyTo, replyTo: Handle.IS_DEAD }, "no"));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, ["above: DETACHING null", 'main: 1234 "no"']);
  assert.deepEqual([...router.parentIds], [2, 0]);
});
