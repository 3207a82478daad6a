/**
 * The master's router, mostly with stand-ins for its children. Tests of real children are in e2e/ and
 * conformance/.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { deadReason } from "../../src/core/message.ts";
import { Broker, Router } from "../../src/index.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { add } from "../fixtures/remote/functions.ts";
import { FakeLink } from "../support/fake-link.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MIB = 1024 * 1024;

/** A frame from child 1 to the program. */
function fromChild(handle: number, body: readonly Uint8Array[], change: Partial<Frame> = {}): Frame {
  return { encoding: Encoding.CBOR, dstId: 0, srcId: 1, authId: 1, handle, replyTo: 0, body, ...change };
}

function withChild(router: Router): FakeLink {
  const link = new FakeLink("child");
  router.attach(link, 1, "child");
  return link;
}

test("Router makes a broker of its own, which ends with it", async () => {
  const [one, two] = [new Router(), new Router()];
  assert.notEqual(one.broker, two.broker);
  await one.shutdown();
  assert.deepEqual([one.broker.isShutDown, two.broker.isShutDown], [true, false]);
  await two.shutdown();
});

test("Router does not end a broker that it was given, and ends when that broker does", async () => {
  const broker = new Broker();
  const [one, two] = [new Router(broker), new Router(broker)];
  assert.equal(one.broker, broker);
  await one.shutdown();
  assert.equal(broker.isShutDown, false);
  const context = await two.local();
  assert.equal(await context.call(add, 1, 1), 2);
  await broker.shutdown();
  assert.notEqual(context.goneReason, undefined);
  await assert.rejects(two.local(), { code: "ERR_CANCELLED" });
});

test("Router takes messages of up to 128 MiB, or of maxMessageBytes, which must not be too small", () => {
  assert.equal(new Router().maxMessageBytes, 128 * MIB);
  assert.equal(new Router(undefined, { maxMessageBytes: MIB }).maxMessageBytes, MIB);
  assert.throws(() => new Router(undefined, { maxMessageBytes: 1000 }), {
    name: "RangeError",
    message: /maxMessageBytes must be an integer from 65536 to 4294967295, got 1000/,
  });
});

test("Router.getStats counts contexts, bytes and modules", async () => {
  await using router = new Router();
  const counted = (): number[] => {
    const stats = router.getStats();
    return [stats.contextCount, stats.connectCount, stats.requestCount, stats.refusedCount];
  };
  assert.deepEqual(counted(), [0, 0, 0, 0]);
  assert.equal(router.getStats().bytesSent, 0);
  const context = await router.local();
  const connected = router.getStats();
  // The payload, and the greeting.
  assert.ok(connected.bytesSent > 10_000 && connected.bytesReceived > 10);
  // Two clocks, both rounded.
  assert.ok(connected.connectMs > 0 && connected.uptimeMs + 2 >= connected.connectMs);
  await context.call(add, 1, 1);
  const called = router.getStats();
  assert.ok(called.messagesSent >= connected.messagesSent + 2, "the module and the call");
  assert.ok(called.messagesReceived > connected.messagesReceived);
  assert.ok(called.moduleCount > connected.moduleCount && called.moduleBytes > connected.moduleBytes);
  assert.ok(called.bytesSent >= connected.bytesSent + called.moduleBytes - connected.moduleBytes);
  await context.shutdown();
  assert.deepEqual(counted(), [0, 1, 0, 0]);
  assert.ok(router.getStats().bytesSent >= called.bytesSent, "contexts that are gone still count");
});

test("Router counts connects that fail, and logs the totals when it ends", async (t) => {
  const records = captureLogs(t);
  const router = new Router();
  await assert.rejects(router.exec({ command: ["/nonexistent/tool"] }), { code: "ERR_STREAM" });
  assert.equal(router.getStats().failedConnectCount, 1);
  await router.shutdown();
  const [totals] = records.filter(({ message }) => message.startsWith("Totals: "));
  assert.equal(totals?.level, "debug");
  assert.match(
    totals.message,
    /0 contexts connected .* 1 connects failed; 0 messages .* ms since the start$/,
  );
});

// At SIGUSR2, the test runner of Node 24 and newer makes every file write a report, which holds the whole
// environment.
if (process.report !== undefined) process.report.reportOnSignal = false;

test("Router.dump lists the contexts, and installDiagnostics has the dump logged at SIGUSR2", async (t) => {
  const records = captureLogs(t, "warning");
  await using router = new Router();
  const stop = router.installDiagnostics();
  const context = await router.local();
  assert.match(router.dump(), new RegExp(`\ncontexts: 1\ncontext ${context.contextId} '${context.name}'`));
  process.kill(process.pid, "SIGUSR2");
  for (let turns = 0; records.length === 0 && turns < 10_000; turns++) await turn();
  assert.match(records[0]?.message ?? "", /^Diagnostics of context 0, /);
  stop();
  assert.equal(process.listenerCount("SIGUSR2"), 0);
});

test("Router counts modules that it refuses to send", async (t) => {
  captureLogs(t);
  await using router = new Router();
  const link = withChild(router);
  link.receive(fromChild(Handle.GET_MODULE, encodeValue(["file:///x.js", "/etc/shadow", "import"])));
  await turn();
  const { requestCount, refusedCount, moduleCount } = router.getStats();
  assert.deepEqual([requestCount, refusedCount, moduleCount], [1, 1, 0]);
});

test("Router gives contexts blocks of ids, and refuses a context that has had too many", async () => {
  await using router = new Router();
  const link = withChild(router);
  const ask = fromChild(Handle.ALLOCATE_ID, encodeValue(null), { replyTo: 1500 });
  for (let count = 0; count < 4000; count++) link.receive(ask);
  assert.ok(link.sent.every(({ replyTo }) => replyTo === Handle.ALLOCATE_ID));
  link.receive(ask);
  assert.equal(link.sent.length, 4001);
  const refusal = link.sent.at(-1) as Frame;
  assert.deepEqual([refusal.handle, refusal.replyTo], [1500, Handle.IS_DEAD]);
  assert.match(deadReason(refusal), /contexts behind context 1 have had 4000 blocks already/);
});

test("Router refuses a route to an id that it gave to no context, or to a context elsewhere", async (t) => {
  const records = captureLogs(t, "error");
  await using router = new Router();
  const [one, two] = [withChild(router), new FakeLink("other")];
  router.attach(two, 2, "child");
  two.receive(fromChild(Handle.ALLOCATE_ID, encodeValue(null), { srcId: 2, authId: 2, replyTo: 1500 }));
  for (const id of [1, 2, 3, 500, 4711]) one.receive(fromChild(Handle.ADD_ROUTE, encodeValue([id, "mine"])));
  assert.equal(records.length, 5);
  assert.deepEqual([router.peerOf(3), router.peerOf(4711)], [undefined, undefined]);
  two.receive(fromChild(Handle.ADD_ROUTE, encodeValue([3, "mine"]), { srcId: 2, authId: 2 }));
  assert.equal(router.peerOf(3)?.link, two);
  assert.equal(records.length, 5);
});

test("Router survives any message of a child at any handle, and answers each at most once", async (t) => {
  captureLogs(t, "error");
  await using router = new Router();
  const link = withChild(router);
  const bodies = [
    [],
    [Buffer.from("ff", "hex")],
    [Buffer.from("9f9f9f9f", "hex")],
    [Buffer.from("fb7ff8000000000000", "hex")],
    ...[null, 1, -1, "", "x".repeat(10_000), [], [[]], {}, [null, null, null, null]].map((each) =>
      encodeValue(each),
    ),
    encodeValue(["../../.env", "/etc/shadow", "import"]),
    encodeValue(["file:///etc/passwd", "", "require"]),
    encodeValue([1, "name"]),
    encodeValue([[1, 2, 3, 4]]),
  ];
  let asked = 0;
  for (let handle = 0; handle <= 130; handle++) {
    for (const body of bodies) {
      for (const encoding of [Encoding.CBOR, Encoding.RAW]) {
        asked += 1;
        link.receive(fromChild(handle, body, { encoding }));
        link.receive(fromChild(handle, body, { encoding, replyTo: 10_000 + asked }));
        link.receive(fromChild(handle, body, { encoding, replyTo: Handle.IS_DEAD }));
      }
    }
  }
  await turn();
  await turn();
  const answered = link.sent.map(({ handle }) => handle);
  assert.equal(new Set(answered).size, answered.length);
  assert.ok(answered.every((handle) => handle > 10_000 && handle <= 10_000 + asked));
  assert.equal(router.peerOf(1)?.link, link);
});
