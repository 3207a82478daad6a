import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { deadReason, Message } from "../../src/core/message.ts";
import type { CoreRouter } from "../../src/core/router.ts";
import { StreamLink } from "../../src/links/stream-link.ts";
import { FrameRouter } from "../../src/routing/frame-router.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { captureLogs } from "../support/fake-log-sink.ts";

const MAX_BYTES = 8 * 1024 * 1024;
const HIGH_WATER_BYTES = 1024 * 1024;

/** A writable that takes bytes only when it is told to, and keeps them. */
class SlowWritable extends Writable {
  readonly chunks: Buffer[] = [];
  /** How many system calls there would have been. */
  writes = 0;
  isOpen = true;
  #waiting: (() => void)[] = [];

  constructor() {
    super({ highWaterMark: 16 * 1024 });
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.writes += 1;
    const take = () => {
      this.chunks.push(...chunks.map(({ chunk }) => chunk));
      done();
    };
    if (this.isOpen) take();
    else this.#waiting.push(take);
  }

  resume(): void {
    this.isOpen = true;
    for (const take of this.#waiting.splice(0)) take();
  }
}

function link(options: { maxMessageBytes?: number } = {}) {
  const readable = new PassThrough();
  const writable = new SlowWritable();
  const stream = new StreamLink("test", readable, writable, options.maxMessageBytes ?? MAX_BYTES);
  const frames: Frame[] = [];
  const closed: string[] = [];
  stream.open({ onFrame: (each) => frames.push(each), onClosed: (reason) => closed.push(reason) });
  return { link: stream, readable, writable, frames, closed };
}

const frame = (change: Partial<Frame> = {}): Frame => ({
  encoding: Encoding.RAW,
  dstId: 1,
  srcId: 2,
  authId: 2,
  handle: 2000,
  replyTo: 0,
  body: [Buffer.from("x")],
  ...change,
});
const bytesOf = (...frames: Frame[]) => Buffer.concat(frames.flatMap(encodeFrame));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("StreamLink delivers frames in order, however the bytes come", async () => {
  const { readable, frames } = link();
  const bytes = bytesOf(frame({ handle: 1 }), frame({ handle: 2, body: [] }), frame({ handle: 3 }));
  readable.write(bytes.subarray(0, 30));
  readable.write(bytes.subarray(30));
  await turn();
  assert.deepEqual(
    frames.map(({ handle }) => handle),
    [1, 2, 3],
  );
});

test("StreamLink.receive feeds bytes that were read before", () => {
  const { link: stream, frames } = link();
  stream.receive(bytesOf(frame()));
  assert.equal(frames.length, 1);
});

test("StreamLink.open replaces the events of an earlier call", async () => {
  const { link: stream, readable, frames, closed } = link();
  stream.receive(bytesOf(frame({ handle: 1 })));
  const later: (number | string)[] = [];
  stream.open({ onFrame: ({ handle }) => later.push(handle), onClosed: (reason) => later.push(reason) });
  stream.receive(bytesOf(frame({ handle: 2 })));
  readable.end();
  await turn();
  assert.deepEqual([frames.length, closed.length], [1, 0]);
  assert.deepEqual(later, [2, "test: connection closed"]);
});

test("StreamLink.send writes the frames of one turn of the event loop together, in order", async () => {
  const { link: stream, writable } = link();
  const sent = Array.from({ length: 100 }, (_, index) => frame({ handle: 3000 + index }));
  for (const each of sent) stream.send(each);
  assert.equal(writable.chunks.length, 0);
  await turn();
  assert.equal(writable.writes, 1);
  assert.deepEqual(Buffer.concat(writable.chunks), bytesOf(...sent));
});

test("StreamLink.send does not copy a big body", async () => {
  const { link: stream, writable } = link();
  const body = Buffer.alloc(200_000, 7);
  stream.send(frame());
  stream.send(frame({ body: [body] }));
  stream.send(frame());
  await turn();
  const views = writable.chunks.filter((chunk) => chunk.buffer === body.buffer);
  const viewed = views.reduce((total, { length }) => total + length, 0);
  // The rest is small enough to be copied after its header.
  assert.ok(viewed > body.length - 16 * 1024, `${viewed} bytes of ${body.length} were not copied`);
});

test("StreamLink that may not write yet keeps more small frames than a batch holds, in order and whole", async () => {
  class WaitingLink extends StreamLink {
    mayWrite = false;

    override flush(): void {
      if (this.mayWrite) super.flush();
    }
  }
  const writable = new SlowWritable();
  const waiting = new WaitingLink("test", new PassThrough(), writable, MAX_BYTES);
  const frames = Array.from({ length: 300 }, (_, i) =>
    frame({ handle: 2000 + i, body: [Buffer.alloc(1000 + i, i)] }),
  );
  for (const [i, each] of frames.entries()) {
    const bytes = bytesOf(each);
    if (i % 2 === 0) waiting.send(each);
    else assert.ok(waiting.sendBytes(bytes, 0, bytes.length));
  }
  waiting.mayWrite = true;
  waiting.flush();
  await turn();
  assert.ok(Buffer.concat(writable.chunks).equals(bytesOf(...frames)));
  assert.equal(waiting.queuedBytes, 0);
  waiting.abort("over");
});

test("StreamLink.send returns false while much is queued, and true again when it has left", async () => {
  const { link: stream, writable } = link();
  writable.isOpen = false;
  const big = frame({ body: [Buffer.alloc(HIGH_WATER_BYTES / 2)] });
  assert.deepEqual([stream.send(big), stream.send(big)], [true, false]);
  await turn();
  assert.equal(stream.send(frame()), false);
  assert.ok(stream.queuedBytes > HIGH_WATER_BYTES);
  writable.resume();
  await turn();
  assert.equal(stream.queuedBytes, 0);
  assert.equal(stream.send(frame()), true);
});

test("StreamLink calls onDrained once less than its limit is queued", async () => {
  const writable = new SlowWritable();
  const stream = new StreamLink("test", new PassThrough(), writable, MAX_BYTES);
  const queued: number[] = [];
  stream.open({
    onFrame: () => undefined,
    onClosed: () => undefined,
    onDrained: () => queued.push(stream.queuedBytes),
  });
  writable.isOpen = false;
  const big = frame({ body: [Buffer.alloc(HIGH_WATER_BYTES)] });
  assert.deepEqual([stream.send(big), stream.send(big)], [false, false]);
  await turn();
  assert.deepEqual(queued, []);
  writable.resume();
  await turn();
  await turn();
  assert.ok(queued.length > 0 && Math.max(...queued) < HIGH_WATER_BYTES, `told at ${queued}`);
});

test("StreamLink.pause stops reading until resume, and loses nothing", async () => {
  const { link: stream, readable, frames } = link();
  stream.pause();
  for (let i = 0; i < 3; i++) readable.write(bytesOf(frame({ handle: i })));
  await turn();
  assert.equal(frames.length, 0);
  stream.resume();
  await turn();
  assert.deepEqual(
    frames.map(({ handle }) => handle),
    [0, 1, 2],
  );
});

test("StreamLink ends the link at junk: one error with a sample, one onClosed, streams destroyed", async (t) => {
  const records = captureLogs(t);
  const { link: stream, readable, writable, frames, closed } = link();
  readable.write(bytesOf(frame()));
  readable.write(Buffer.alloc(10_000, "junk\n"));
  await turn();
  assert.equal(frames.length, 1);
  assert.equal(records.length, 1);
  const [{ level, message }] = records as [(typeof records)[0]];
  assert.equal(level, "error");
  assert.match(message, /^test: Cannot decode frame: bad magic 0x6a75, .*"junk\\njunk\\n/);
  assert.ok(message.slice(message.indexOf('"')).length <= 2048);
  assert.equal(closed.length, 1);
  assert.match(closed[0] ?? "", /^test: protocol error: Cannot decode frame/);
  assert.deepEqual([readable.destroyed, writable.destroyed], [true, true]);
  // Later bytes are neither read nor reported.
  stream.receive(Buffer.from("more junk"));
  stream.receive(bytesOf(frame()));
  await turn();
  assert.deepEqual([records.length, closed.length, frames.length], [1, 1, 1]);
});

test("StreamLink ends the link at a message over its limit", async (t) => {
  const records = captureLogs(t);
  const { readable, closed } = link({ maxMessageBytes: 10 });
  readable.write(bytesOf(frame({ body: [Buffer.alloc(11)] })));
  await turn();
  assert.match(closed[0] ?? "", /body of 11 bytes exceeds maxMessageBytes 10/);
  assert.equal(records.length, 1);
});

test("StreamLink: junk on one link ends the waits on it and leaves other links alone", async (t) => {
  const records = captureLogs(t, "error");
  const router = new FrameRouter({ contextId: 0 });
  const [bad, good] = [
    { readable: new PassThrough(), writable: new SlowWritable() },
    { readable: new PassThrough(), writable: new SlowWritable() },
  ];
  router.attach(new StreamLink("bad", bad.readable, bad.writable, MAX_BYTES), 1, "child");
  router.attach(new StreamLink("good", good.readable, good.writable, MAX_BYTES), 2, "child");
  const answers: string[] = [];
  const ask = (respondentId: number) =>
    router.listen((each) => answers.push(`${respondentId} ${deadReason(each)}`), {
      respondentId,
      isPersistent: false,
    });
  const handles = [ask(1), ask(1), ask(2)];
  bad.readable.write("this is no frame");
  await turn();
  assert.equal(records.length, 1);
  assert.equal(answers.length, 2);
  for (const answer of answers) assert.match(answer, /^1 bad: protocol error/);
  good.readable.write(bytesOf(frame({ dstId: 0, handle: handles[2] as number })));
  await turn();
  assert.equal(answers.length, 3);
  assert.deepEqual([bad.readable.destroyed, good.readable.destroyed], [true, false]);
});

test("StreamLink.close writes the queued bytes, ends the sending side, and continues to read", async () => {
  const { link: stream, readable, writable, frames, closed } = link();
  stream.send(frame({ handle: 1 }));
  stream.send(frame({ handle: 2 }));
  stream.close();
  stream.close();
  stream.send(frame({ handle: 3 }));
  await turn();
  assert.deepEqual(Buffer.concat(writable.chunks), bytesOf(frame({ handle: 1 }), frame({ handle: 2 })));
  assert.equal(writable.writableFinished, true);
  readable.write(bytesOf(frame({ handle: 4 })));
  await turn();
  assert.deepEqual([frames.length, closed.length], [1, 0]);
  readable.end();
  await turn();
  assert.deepEqual(closed, ["test: connection closed"]);
});

test("StreamLink.close of a slow link writes everything before it ends", async () => {
  const { link: stream, writable } = link();
  writable.isOpen = false;
  const big = frame({ body: [Buffer.alloc(2 * HIGH_WATER_BYTES, 3)] });
  stream.send(big);
  await turn();
  stream.send(frame());
  stream.close();
  await turn();
  assert.equal(writable.writableFinished, false);
  writable.resume();
  await turn();
  await turn();
  assert.equal(writable.writableFinished, true);
  const other = link();
  other.readable.write(Buffer.concat(writable.chunks));
  await turn();
  assert.deepEqual(
    other.frames.map((each) => bytesOf(each)),
    [big, frame()].map((each) => bytesOf(each)),
  );
});

test("StreamLink.abort drops the queued bytes and reports the reason once", async () => {
  const { link: stream, readable, writable, closed } = link();
  stream.send(frame());
  stream.abort("enough");
  stream.abort("again");
  stream.close();
  stream.send(frame());
  await turn();
  assert.deepEqual(closed, ["enough"]);
  assert.deepEqual([writable.chunks.length, readable.destroyed, writable.destroyed], [0, true, true]);
});

test("StreamLink ends once, when its readable ends, whatever follows", async () => {
  const { readable, writable, closed } = link();
  readable.end();
  await turn();
  readable.destroy(new Error("late"));
  writable.destroy(new Error("late"));
  await turn();
  assert.deepEqual(closed, ["test: connection closed"]);
});

test("StreamLink ends with the error's message when it can no longer read", async () => {
  for (const code of ["ECONNRESET", "EIO"]) {
    const { readable, closed } = link();
    readable.destroy(Object.assign(new Error(`read ${code}`), { code }));
    await turn();
    assert.deepEqual(closed, [`test: connection lost: read ${code}`]);
  }
});

// ECONNRESET comes from a peer that closes a socket before it has read everything.
for (const code of ["EPIPE", "ECONNRESET", "EIO"]) {
  test(`StreamLink still delivers the last frames of a peer that stopped reading (${code}), and ends with its EOF`, async () => {
    const { link: stream, readable, writable, frames, closed } = link();
    writable.destroy(Object.assign(new Error(`write ${code}`), { code }));
    await turn();
    assert.deepEqual(closed, []);
    stream.send(frame());
    readable.write(bytesOf(frame({ handle: 1 })));
    readable.end();
    await turn();
    await turn();
    assert.equal(frames.length, 1);
    assert.deepEqual(closed, ["test: connection closed"]);
  });
}

test("StreamLink ends after a second if its peer stopped reading (EPIPE) and never ends", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { writable, frames, readable, closed } = link();
  writable.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
  await turn();
  t.mock.timers.tick(999);
  readable.write(bytesOf(frame({ handle: 1 })));
  await turn();
  assert.deepEqual([frames.length, closed], [1, []]);
  t.mock.timers.tick(1);
  assert.deepEqual(closed, ["test: connection lost: write EPIPE"]);
  assert.equal(readable.destroyed, true);
});

test("StreamLink delivers no frame after its end, even if more came in the same chunk", () => {
  const { link: stream, closed } = link();
  const seen: number[] = [];
  stream.open({
    onFrame: ({ handle }) => {
      seen.push(handle);
      stream.abort("enough");
    },
    onClosed: (reason) => closed.push(reason),
  });
  stream.receive(bytesOf(frame({ handle: 1 }), frame({ handle: 2 })));
  assert.deepEqual([seen, closed], [[1], ["enough"]]);
});

test("StreamLink frees chunks from a socket as soon as they are copied, but no chunks from other streams", async () => {
  const large = frame({ body: [Buffer.alloc(300_000, 7)] });
  const bytes = Buffer.concat([...encodeFrame(large), ...encodeFrame(frame())]);
  const { readable, frames } = link();
  const read = once(readable, "data");
  readable.write(bytes);
  await read;
  assert.equal(bytes.length, 300_000 + 1 + 2 * 26, "what was written is its writer's");
  assert.equal(frames.length, 2);

  const server = createServer((socket) => socket.end(bytes)).listen(0);
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port);
  const chunks: Buffer[] = [];
  const received: Frame[] = [];
  const stream = new StreamLink("test", socket, new PassThrough(), MAX_BYTES);
  const whole = new Set<Buffer>();
  socket.prependListener("data", (chunk: Buffer) => {
    chunks.push(chunk);
    // From Node 26 on, a chunk that does not fill its memory is not moved to smaller one.
    if (chunk.length === chunk.buffer.byteLength) whole.add(chunk);
  });
  stream.open({ onFrame: (each) => received.push(each), onClosed: () => undefined });
  await once(socket, "close");
  server.close();
  assert.deepEqual(
    received.map(({ body }) => body),
    [large.body, [Buffer.from("x")]],
  );
  // The last chunk holds the small frame, which is a view of that chunk.
  const filled = chunks.slice(0, -1).filter((chunk) => whole.has(chunk));
  assert.ok(filled.length > 0);
  assert.ok(filled.every(({ length }) => length === 0));
  assert.notEqual(chunks.at(-1)?.length, 0);
});

test("StreamLink frees a large frame once a socket has taken it, but not a message, and nothing that another stream took", async () => {
  const taken: Buffer[] = [];
  const server = createServer((socket) => socket.on("data", (chunk: Buffer) => taken.push(chunk))).listen(0);
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port);
  const stream = new StreamLink("test", socket, socket, MAX_BYTES);
  const large = (fill: number) => frame({ body: [Buffer.alloc(300_000, fill)] });
  const [mine, kept, passed] = [large(1), large(2), large(3)];
  stream.send(mine);
  stream.send(new Message({} as CoreRouter, kept));
  const other = link();
  other.link.send(passed);
  assert.notEqual(mine.body[0]?.length, 0, "it has not left yet");
  stream.close();
  await once(socket, "close");
  other.link.close();
  server.close();
  const lengths = [mine, kept, passed].map(({ body }) => body[0]?.length);
  assert.deepEqual(lengths, [0, 300_000, 300_000]);
  const received: Frame[] = [];
  const back = link();
  back.link.open({ onFrame: (each) => received.push(each), onClosed: () => undefined });
  for (const chunk of taken) back.link.receive(chunk);
  assert.deepEqual(
    received.map(({ body }) => [body[0]?.length, body[0]?.[0], body[0]?.[299_999]]),
    [
      [300_000, 1, 1],
      [300_000, 2, 2],
    ],
  );
});
