/** Which children are stopped when a link does not drain. e2e/pressure.test.ts tests this with real processes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pressure } from "../../src/routing/pressure.ts";
import { Handle } from "../../src/wire/handles.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { frame, middle, top } from "../support/frame-routers.ts";

const MIB = 1024 * 1024;
/** Longer than any test. */
const LONG_MS = 3_600_000;

function under(routed: ReturnType<typeof middle>, holdMs = LONG_MS): ReturnType<typeof middle> {
  new Pressure(routed.router, holdMs);
  return routed;
}

const bulk = (srcId: number, dstId: number, mib = 9) =>
  frame({ srcId, dstId, body: [Buffer.alloc(mib * MIB)] });

test("Pressure stops a child that fills another child's link, until that link has drained", () => {
  const { six, seven } = under(middle());
  six.isBackedUp = true;
  seven.receive(bulk(7, 6, 1));
  assert.equal(seven.isPaused, false);
  seven.receive(bulk(7, 6));
  assert.deepEqual([six.isPaused, seven.isPaused], [false, true]);
  six.drain();
  assert.equal(seven.isPaused, false);
});

test("Pressure stops a child that fills the link to the parent, for as long as it takes", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { parent, six, seven } = under(middle());
  parent.isBackedUp = true;
  seven.receive(bulk(7, 0));
  t.mock.timers.tick(2 * LONG_MS);
  assert.deepEqual([parent.isPaused, six.isPaused, seven.isPaused], [false, false, true]);
  parent.drain();
  assert.equal(seven.isPaused, false);
});

test("Pressure stops a child that sends to itself and does not read", () => {
  const { router, one } = top();
  new Pressure(router);
  one.isBackedUp = true;
  for (let i = 0; i < 3; i++) one.receive(bulk(1, 1));
  assert.equal(one.isPaused, false);
  one.receive(bulk(1, 1));
  assert.equal(one.isPaused, true);
});

test("Pressure stops a child that does not read the replies to its requests, from here and from above", () => {
  const { router, parent, six, seven } = under(middle());
  six.isBackedUp = true;
  // 26 bytes that ask for a much larger reply.
  while (!six.isPaused) {
    const before = six.sent.length;
    six.receive(frame({ srcId: 6, dstId: 5, handle: 4711, replyTo: 1500 }));
    assert.ok(six.sent.length > before && before < 200_000, "it is not stopped");
  }
  six.drain();
  assert.equal(six.isPaused, false);
  six.isBackedUp = true;
  for (let i = 0; i < 4; i++) parent.receive(bulk(0, 6));
  assert.deepEqual([six.isPaused, parent.isPaused, seven.isPaused], [true, false, false]);
  assert.ok(router.peerOf(6));
});

test("Pressure stops nobody for what the program asks of a context, however much it is", () => {
  const { router, one } = top();
  new Pressure(router);
  one.isBackedUp = true;
  for (let i = 0; i < 40; i++) {
    const body = [Buffer.alloc(MIB)];
    router.routeFrame(
      frame({ dstId: 1, handle: Handle.CALL_FUNCTION, replyTo: 1500, authId: 0, body: [body[0] as Buffer] }),
    );
  }
  assert.equal(one.isPaused, false);
});

test("Pressure stops a child because of another only for a limited time, and says so", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const records = captureLogs(t, "warning");
  const { six, seven } = under(middle(), 1000);
  six.isBackedUp = true;
  six.queuedBytes = 9 * MIB;
  seven.receive(bulk(7, 6));
  assert.equal(seven.isPaused, true);
  t.mock.timers.tick(1000);
  assert.equal(seven.isPaused, false);
  assert.deepEqual(printed(records), [
    "warning: six reads too slowly: 9437184 bytes have waited for 1000 ms; further messages to it may be refused",
  ]);
  // It is not stopped again until the other has read.
  seven.receive(bulk(7, 6));
  assert.equal(seven.isPaused, false);
  six.drain();
  six.isBackedUp = true;
  seven.receive(bulk(7, 6));
  assert.equal(seven.isPaused, true);
});

test("Pressure lets two children that filled each other's links continue as each link is read", () => {
  const { six, seven } = under(middle());
  six.isBackedUp = true;
  seven.isBackedUp = true;
  seven.receive(bulk(7, 6));
  six.receive(bulk(6, 7));
  assert.deepEqual([six.isPaused, seven.isPaused], [true, true]);
  // The children read although nobody reads from them.
  six.drain();
  assert.deepEqual([six.isPaused, seven.isPaused], [true, false]);
  seven.drain();
  assert.deepEqual([six.isPaused, seven.isPaused], [false, false]);
});

test("Pressure lets a child continue only when it fills no link any more", () => {
  const { parent, six, seven } = under(middle());
  parent.isBackedUp = true;
  six.isBackedUp = true;
  seven.receive(bulk(7, 6));
  seven.receive(bulk(7, 0));
  six.drain();
  assert.equal(seven.isPaused, true);
  parent.drain();
  assert.equal(seven.isPaused, false);
});

test("Pressure lets a child continue when the link that it has filled ends", () => {
  const { six, seven } = under(middle());
  six.isBackedUp = true;
  seven.receive(bulk(7, 6));
  six.end("gone");
  assert.equal(seven.isPaused, false);
});
