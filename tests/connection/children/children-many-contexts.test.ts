/** What a child that announces contexts without end costs the program. The contexts need not exist. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Router } from "../../../src/index.ts";
import { ID_BLOCK_SIZE } from "../../../src/routing/id-allocator.ts";
import { MAX_CONTEXTS_PER_LINK } from "../../../src/routing/route-bounds.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame, joinBody } from "../../../src/wire/frame.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { FakeLink } from "../../support/fake-link.ts";
import { captureLogs, printed } from "../../support/fake-log-sink.ts";

/** Away from the ids that the router gives out. */
const CHILD = 0xf1000000;

function message(srcId: number, handle: number, value: unknown, replyTo = 0): Frame {
  const body = encodeValue(value);
  return { encoding: Encoding.CBOR, dstId: 0, srcId, authId: srcId, handle, replyTo, body };
}

function withChild(router: Router, id = CHILD): FakeLink {
  const link = new FakeLink(`child.${id}`);
  router.attach(link, id, "child");
  return link;
}

/** Announces `count` contexts from a child, with ids that the program gave it. Returns the ids. */
function announce(link: FakeLink, count: number, srcId = CHILD): number[] {
  const ids: number[] = [];
  while (ids.length < count) {
    link.receive(message(srcId, Handle.ALLOCATE_ID, null, 1000));
    const [first] = decodeValue(joinBody(link.sent.pop() as Frame)) as [number];
    for (let id = first; id < first + ID_BLOCK_SIZE && ids.length < count; id++) {
      link.receive(message(srcId, Handle.ADD_ROUTE, [id, `made.up.${id}`, "20.0.0"]));
      ids.push(id);
    }
  }
  return ids;
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function cpuMs(work: () => void): number {
  const started = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1000;
}

test("A context that a child announces costs the program less than 500 bytes, and hardly anything once it is gone", async () => {
  await using router = new Router();
  const link = withChild(router);
  const [first] = announce(link, 1);
  const before = heapBytes();
  const ids = announce(link, 16_000);
  const each = (heapBytes() - before) / ids.length;
  assert.ok(each < 500, `${each} bytes`);
  assert.equal(router.contextById(ids.at(-1) as number).name, `context.${CHILD}.made.up.${ids.at(-1)}`);
  link.sent.length = 0;
  for (const id of ids) link.receive(message(CHILD, Handle.DEL_ROUTE, [id, "died"]));
  assert.deepEqual([...router.routedIds.keys()], [CHILD, first]);
  const left = (heapBytes() - before) / ids.length;
  assert.ok(left < 100, `${left} bytes`);
});

test("One context too many is refused: its route, ids for more, and connects through that link", async (t) => {
  const records = captureLogs(t, "error");
  await using router = new Router();
  const link = withChild(router);
  const ids = announce(link, MAX_CONTEXTS_PER_LINK - 2);
  link.receive(message(CHILD, Handle.ALLOCATE_ID, null, 1000));
  const [spare] = decodeValue(joinBody(link.sent.pop() as Frame)) as [number];
  link.receive(message(CHILD, Handle.ADD_ROUTE, [spare, "the last", "20.0.0"]));
  assert.equal(records.length, 0);
  const tooMany = /16384 contexts are behind the link to .*, which is the maximum/;
  link.receive(message(CHILD, Handle.ADD_ROUTE, [spare + 1, "one too many", "20.0.0"]));
  assert.equal(router.peerOf(spare + 1), undefined);
  assert.match(printed(records).join("\n"), tooMany);
  link.receive(message(CHILD, Handle.ALLOCATE_ID, null, 1000));
  assert.match(String(decodeValue(joinBody(link.sent.pop() as Frame))), tooMany);
  await assert.rejects(router.local({ via: router.contextById(ids[0] as number) }), {
    name: "RangeError",
    message: tooMany,
  });
  // Other links are not affected.
  const other = withChild(router, CHILD + 1);
  assert.equal(router.peerOf(announce(other, 1, CHILD + 1)[0] as number)?.link, other);
  const context = await router.local();
  assert.ok((await context.ping()) >= 0);
  // A context that is gone makes room.
  link.receive(message(CHILD, Handle.DEL_ROUTE, [spare, "died"]));
  assert.equal(announce(link, 1).length, 1);
});

test("The end of a link takes time in proportion to the contexts behind it", async (t) => {
  captureLogs(t, "error");
  const costOf = async (count: number): Promise<number> => {
    await using router = new Router();
    const link = withChild(router);
    announce(link, count);
    return cpuMs(() => link.end("died"));
  };
  let [fewMs, manyMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < 3; round++) {
    fewMs = Math.min(fewMs, await costOf(4_000));
    manyMs = Math.min(manyMs, await costOf(16_000));
  }
  // Four times as many contexts take about four times as long; sixteen times would be quadratic.
  assert.ok(manyMs < 10 * fewMs, `${fewMs} ms for 4,000, ${manyMs} ms for 16,000`);
});
