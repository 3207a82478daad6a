import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../src/errors.ts";
import { Assembler, Lanes } from "../../src/links/lanes.ts";
import { FIRST_CREDIT_HANDLE } from "../../src/wire/credit-handles.ts";
import { Encoding, encodeFrame, type Frame, frameLength } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";
import { Handle } from "../../src/wire/handles.ts";

const MIB = 1024 * 1024;
const LIMIT = 4 * MIB;
const PART_BYTES = 64 * 1024;

const frame = (change: Partial<Frame> = {}): Frame => ({
  encoding: Encoding.RAW,
  ...{ dstId: 1, srcId: 2, authId: 2, handle: 2000, replyTo: 0 },
  body: [Buffer.from("x")],
  ...change,
});
const big = (change: Partial<Frame> = {}): Frame =>
  frame({ body: [Buffer.alloc(5 * PART_BYTES, 7)], ...change });
const credited = (change: Partial<Frame> = {}): Frame => frame({ replyTo: FIRST_CREDIT_HANDLE, ...change });

/**
 * Sends frames as a link would, but lets nothing leave before all are there. Returns what arrives, in order.
 */
function cross(frames: readonly Frame[]): string[] {
  const lanes = new Lanes();
  const wire: Uint8Array[] = [];
  for (const each of frames) {
    const pieces = encodeFrame(each);
    const place = lanes.add(each, frameLength(each));
    if (place === "barrier") while (lanes.bytes > 0) wire.push(...lanes.take());
    if (place !== "bulk") wire.push(...pieces);
  }
  while (lanes.bytes > 0) wire.push(...lanes.take());
  const assembler = new Assembler(LIMIT);
  const found: Frame[] = [];
  new FrameDecoder(LIMIT).push(Buffer.concat(wire), (received) => {
    const whole = received.encoding === Encoding.PART ? assembler.add(received) : received;
    if (whole !== undefined) found.push(whole);
  });
  assert.deepEqual(found.map(digest).sort(), frames.map(digest).sort());
  return found.map(({ srcId, dstId, handle }) => `${srcId}-${dstId} ${handle}`);
}

const digest = (each: Frame): string => Buffer.concat(encodeFrame(each)).toString("latin1");

test("Lanes let small frames of others pass large ones", () => {
  assert.deepEqual(cross([big(), frame({ srcId: 3 }), frame({ dstId: 4 })]), [
    "3-1 2000",
    "2-4 2000",
    "2-1 2000",
  ]);
});

test("Lanes keep the order of frames from one context to another", () => {
  const frames = [
    big({ handle: 2001 }),
    frame({ handle: 2002 }),
    credited({ handle: 2003 }),
    frame({ handle: 2004 }),
  ];
  assert.deepEqual(cross(frames), ["2-1 2001", "2-1 2002", "2-1 2003", "2-1 2004"]);
});

test("Lanes let no frame pass one that concerns others: modules and routes", () => {
  for (const handle of [Handle.LOAD_MODULE, Handle.ADD_ROUTE, Handle.DEL_ROUTE]) {
    const order = cross([big(), frame({ srcId: 3, dstId: 5, handle }), frame({ dstId: 4 })]);
    assert.deepEqual(order, ["2-1 2000", `3-5 ${handle}`, "2-4 2000"]);
  }
});

test("Lanes let pings, shutdowns, logs, credit and empty replies pass other frames of the same two contexts", () => {
  for (const handle of [Handle.PING, Handle.SHUTDOWN, Handle.FORWARD_LOG, FIRST_CREDIT_HANDLE]) {
    assert.deepEqual(cross([big(), frame({ handle })]), [`2-1 ${handle}`, "2-1 2000"]);
  }
  assert.deepEqual(cross([big(), frame({ handle: 3000, body: [] })]), ["2-1 3000", "2-1 2000"]);
});

test("Lanes take parts from one pair of contexts after the other", () => {
  const lanes = new Lanes();
  for (const srcId of [2, 3]) lanes.add(big({ srcId }), frameLength(big({ srcId })));
  const sources: number[] = [];
  while (lanes.bytes > 0) sources.push(Buffer.from(lanes.take()[0] as Uint8Array).readUInt32BE(6));
  assert.deepEqual(sources, [2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3]);
});

test("Lanes count the bytes that wait, and forget them", () => {
  const lanes = new Lanes();
  lanes.add(credited(), frameLength(credited()));
  lanes.add(big(), frameLength(big()));
  assert.ok(lanes.bytes > 5 * PART_BYTES, String(lanes.bytes));
  lanes.clear();
  assert.equal(lanes.bytes, 0);
});

const part = (change: Partial<Frame>): Frame => frame({ encoding: Encoding.PART, ...change });

test("Assembler refuses a frame over maxMessageBytes before it allocates memory", () => {
  assert.throws(() => new Assembler(LIMIT).add(part({ handle: LIMIT + 27 })), ProtocolError);
});

test("Assembler refuses parts that are longer than announced, and parts that do not make a frame", () => {
  assert.throws(() => new Assembler(LIMIT).add(part({ handle: 3, body: [Buffer.alloc(4)] })), ProtocolError);
  assert.throws(() => new Assembler(LIMIT).add(part({ handle: 3, body: [Buffer.alloc(3)] })), ProtocolError);
  assert.throws(() => new Assembler(LIMIT).add(part({ handle: 0, body: [] })), ProtocolError);
  const nested = Buffer.concat(encodeFrame(part({ handle: 9, body: [] })));
  assert.throws(
    () => new Assembler(LIMIT).add(part({ handle: nested.length, body: [nested] })),
    ProtocolError,
  );
});

test("Assembler refuses parts that hold less than a frame, more than one, or end in the middle of one", () => {
  const one = Buffer.concat(encodeFrame(frame()));
  const more = Buffer.concat([one, one.subarray(0, 5)]);
  const cases: [Buffer, number][] = [
    [one.subarray(0, -1), one.length - 1],
    [Buffer.concat([one, one]), 2 * one.length],
    [more, more.length],
    [more, one.length],
  ];
  for (const [bytes, handle] of cases) {
    assert.throws(() => new Assembler(LIMIT).add(part({ handle, body: [bytes] })), {
      name: "ProtocolError",
      message: /its parts make no frame|body of 1 bytes exceeds/,
    });
  }
});

test("Assembler gives a body from several parts its own memory, which may move to another thread", () => {
  const lanes = new Lanes();
  lanes.add(big(), frameLength(big()));
  const assembler = new Assembler(LIMIT);
  let found: Frame | undefined;
  while (lanes.bytes > 0) {
    new FrameDecoder(LIMIT).push(Buffer.concat(lanes.take()), (each) => {
      found = assembler.add(each);
    });
  }
  const body = found?.body[0];
  assert.deepEqual([body?.length, body?.buffer.byteLength], [5 * PART_BYTES, 5 * PART_BYTES]);
});

test("Assembler bounds how many frames a neighbour may leave unfinished", () => {
  const assembler = new Assembler(LIMIT);
  const begin = (srcId: number): unknown => assembler.add(part({ srcId, handle: 100 }));
  for (let srcId = 0; srcId < 64; srcId++) assert.equal(begin(srcId), undefined);
  assert.throws(() => begin(64), ProtocolError);
});

test("Assembler bounds the total length of a neighbour's unfinished frames", () => {
  const begin = (assembler: Assembler, ...lengths: number[]): void => {
    for (const [srcId, handle] of lengths.entries()) assembler.add(part({ srcId, handle }));
  };
  const begun = (...lengths: number[]) => begin(new Assembler(128 * MIB), ...lengths);
  begun(40 * MIB, 24 * MIB);
  assert.throws(() => begun(40 * MIB, 24 * MIB + 1), ProtocolError);
  begun(100 * MIB);
  assert.throws(() => begun(100 * MIB, 100), ProtocolError);
  assert.throws(() => begun(100, 100 * MIB), ProtocolError);
});

test("Assembler has room again when a frame is finished", () => {
  const assembler = new Assembler(128 * MIB);
  const whole = Buffer.concat(encodeFrame(frame({ body: [Buffer.alloc(60 * MIB)] })));
  for (let i = 0; i < 2; i++) {
    const received = assembler.add(part({ handle: whole.length, body: [whole] }));
    assert.equal(received?.body[0]?.length, 60 * MIB);
  }
});

/**
 * Yields when frames begin and end to cross a link: `+2` is the first part of context 2's frame, `-2` its last.
 */
function* beginsAndEnds(lanes: Lanes): Iterable<string> {
  const assembler = new Assembler(128 * MIB);
  const begun = new Set<number>();
  const events: string[] = [];
  const onFrame = (received: Frame): void => {
    const { srcId } = received;
    if (!begun.has(srcId)) events.push(`+${srcId}`);
    begun.add(srcId);
    if (received.encoding === Encoding.PART && assembler.add(received) === undefined) return;
    events.push(`-${srcId}`);
    begun.delete(srcId);
  };
  const decoder = new FrameDecoder(128 * MIB);
  while (lanes.bytes > 0) {
    for (const piece of lanes.take())
      decoder.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length), onFrame);
    yield* events.splice(0);
  }
}

/** Puts a frame of that many bytes into its lane. */
function put(lanes: Lanes, srcId: number, bytes: number): void {
  const each = frame({ srcId, body: [Buffer.alloc(bytes)], replyTo: FIRST_CREDIT_HANDLE });
  assert.equal(lanes.add(each, frameLength(each)), "bulk");
}

test("Lanes begin frames of up to 64 MiB together, and others continue", () => {
  const lanes = new Lanes();
  for (const srcId of [2, 3, 4]) put(lanes, srcId, 25 * MIB);
  for (const srcId of [5, 6]) put(lanes, srcId, 1);
  const order = ["+2", "+3", "+5", "-5", "+6", "-6", "-2", "+4", "-3", "-4"];
  assert.deepEqual([...beginsAndEnds(lanes)], order);
});

test("Lanes begin a frame of more than 64 MiB only alone", () => {
  const lanes = new Lanes();
  put(lanes, 2, MIB);
  put(lanes, 3, 65 * MIB);
  put(lanes, 4, MIB);
  assert.deepEqual([...beginsAndEnds(lanes)], ["+2", "-2", "+3", "-3", "+4", "-4"]);
});

test("Lanes begin no more frames than an Assembler takes", () => {
  const lanes = new Lanes();
  for (let srcId = 2; srcId < 102; srcId++) put(lanes, srcId, 2 * PART_BYTES);
  const ends = [...beginsAndEnds(lanes)].filter((event) => event.startsWith("-"));
  assert.deepEqual(
    ends,
    Array.from({ length: 100 }, (_, index) => `-${index + 2}`),
  );
});

test("Lanes do not let a stream of smaller frames starve one that needs more room", () => {
  const lanes = new Lanes();
  put(lanes, 2, 40 * MIB);
  put(lanes, 3, 40 * MIB);
  const events: string[] = [];
  for (const event of beginsAndEnds(lanes)) {
    events.push(event);
    // The next smaller frame comes while one is still on the link.
    if (events.length < 20 && event !== "-3") put(lanes, 10 + events.length, MIB);
  }
  assert.deepEqual(events.slice(0, 3), ["+2", "-2", "+3"]);
  assert.equal(events.filter((event) => event.startsWith("-")).length, events.length / 2);
});

test("Lanes hold and release very many small frames of one pair without a pause, and count their memory", () => {
  const COUNT = 200_000;
  const lanes = new Lanes();
  const small = credited({ body: [] });
  for (let i = 0; i < COUNT; i++) lanes.add(small, frameLength(small));
  assert.ok(lanes.bytes > 200 * COUNT, `${lanes.bytes} bytes are less than what they take`);
  const start = process.cpuUsage().user;
  let taken = 0;
  for (; lanes.bytes > 0; taken++) lanes.take();
  assert.equal(taken, COUNT);
  // This takes some tens of milliseconds. With the shift() of an array, it took more than a minute.
  const ms = (process.cpuUsage().user - start) / 1000;
  assert.ok(ms < 10_000, `${ms} ms`);
});
