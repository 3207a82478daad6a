import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { connect, createServer, type NetConnectOpts, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { isFence, TwoWays } from "../../src/short-way/two-ways.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { Random } from "../support/random.ts";

checkLeaks();

const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
after(() => rmSync(folder, { recursive: true }));

const ROUNDS = 1000;
/** The largest body that may take the short way. */
const MOST = 16 * 1024;

/** One end, with the frames that it sends by the long way, and the numbers of the frames that have come to it. */
class End {
  readonly ways: TwoWays;
  readonly long: Frame[] = [];
  readonly came: number[] = [];
  broken: string | undefined;
  far!: End;

  constructor() {
    this.ways = new TwoWays(0, 1, {
      sendLong: (frame) => this.long.push(frame),
      deliver: (frame) => this.came.push(numberOf(frame)),
      onBroken: (reason) => {
        this.broken ??= reason;
      },
    });
  }

  send(number: number, { mayBeShort = true, isBehind = false, bytes = 4 } = {}): boolean {
    const body = Buffer.alloc(bytes);
    body.writeUInt32BE(number, 0);
    const frame = {
      encoding: Encoding.CBOR,
      dstId: 1,
      srcId: 0,
      authId: 0,
      handle: 2000,
      replyTo: 0,
      body: [body],
    };
    const isShort = this.ways.sendShort(frame, mayBeShort, isBehind);
    if (!isShort) this.long.push(frame);
    return isShort;
  }

  /** Lets the oldest frames on the long way arrive. Returns false, so that a condition can call it. */
  release(count = this.long.length): false {
    for (const frame of this.long.splice(0, count)) {
      if (isFence(frame)) this.far.ways.takeFence(frame);
      else this.far.came.push(numberOf(frame));
    }
    return false;
  }

  /** Sends until a frame takes the short way. Returns the next number. */
  warm(next = 0): number {
    while (!this.send(next++)) {}
    return next;
  }
}

function numberOf({ body: [bytes] }: Frame): number {
  return Buffer.from(bytes as Uint8Array).readUInt32BE(0);
}

/** Two ends; one reads as the program does, and one as a context does. */
async function pair(): Promise<{ program: End; context: End; close(): void }> {
  const [program, context] = [new End(), new End()];
  program.far = context;
  context.far = program;
  const path = join(folder, `${Math.random()}`);
  const server = createServer().listen(path);
  await once(server, "listening");
  const callback = (length: number, memory: Uint8Array): boolean =>
    context.ways.receive(memory.subarray(0, length));
  const onread = { buffer: Buffer.alloc(64 * 1024), callback };
  const accepted = once(server, "connection");
  const mine = connect({ path, onread } as unknown as NetConnectOpts);
  const [theirs] = (await accepted) as [Socket];
  if (mine.connecting) await once(mine, "connect");
  server.close();
  theirs.on("data", (chunk: Buffer) => {
    if (!program.ways.receive(chunk)) theirs.pause();
  });
  program.ways.socket = theirs;
  context.ways.socket = mine;
  const close = (): void => {
    program.ways.close();
    context.ways.close();
  };
  return { program, context, close };
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, "it did not happen");
    await turn();
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe("TwoWays", () => {
  for (const [from, to] of [
    ["program", "context"],
    ["context", "program"],
  ] as const) {
    it(`keeps one order from ${from} to ${to}, whichever way frames go and however late they are`, async () => {
      const ends = await pair();
      const [sender, receiver] = [ends[from], ends[to]];
      const random = new Random(4711);
      let sent = 0;
      for (let round = 0; round < ROUNDS; round++) {
        for (let left = random.below(30); left > 0; left--) {
          const bytes = random.chance(5) ? 4 + random.below(MOST - 4) : 4;
          sender.send(sent++, { mayBeShort: !random.chance(40), isBehind: random.chance(10), bytes });
          if (random.chance(10)) sender.ways.flush();
          if (random.chance(10)) sender.release(random.below(4));
        }
        if (random.chance(2)) sender.release(random.below(sender.long.length + 1));
        if (random.chance(3)) await turn();
        if (random.chance(20)) {
          sender.release();
          await until(() => receiver.came.length === sent || sender.release());
        }
      }
      await until(() => receiver.came.length === sent || sender.release());
      assert.deepEqual(receiver.came, upTo(sent));
      assert.ok(sender.ways.bytesSent > 0);
      assert.equal(receiver.ways.bytesReceived, sender.ways.bytesSent);
      assert.deepEqual([sender.broken, receiver.broken], [undefined, undefined]);
      ends.close();
    });
  }

  it("lets no frame of the short way pass a frame that was sent the long way before", async () => {
    const { program, context, close } = await pair();
    program.send(0, { mayBeShort: false });
    const count = program.warm(1);
    program.ways.flush();
    // All frames of the short way have arrived, but not those of the long way.
    for (let at = 0; at < 10; at++) await turn();
    assert.deepEqual(context.came, []);
    program.release();
    assert.deepEqual(context.came.slice(0, 1), [0]);
    await until(() => context.came.length === count);
    assert.deepEqual(context.came, upTo(count));
    close();
  });

  it("reads the short way at once when the long way says that it comes first", async () => {
    const { program, context, close } = await pair();
    const count = program.warm();
    program.release();
    await turn();
    program.send(count);
    program.send(count + 1, { mayBeShort: false });
    // The context's event loop does not run before this.
    program.release();
    assert.deepEqual(context.came, upTo(count + 2));
    close();
  });

  it("sends frames that the socket does not take the long way, and queues nothing for the socket", async () => {
    const { program, context, close } = await pair();
    let count = program.warm();
    program.release();
    const before = program.long.length;
    // More than any socket holds.
    while (count < 10_000) program.send(count++, { bytes: MOST });
    program.ways.flush();
    const socket = program.ways.socket as Socket;
    assert.equal(socket.writableLength, 0);
    assert.ok(program.ways.bytesSent < 16 * 1024 * 1024);
    assert.ok(program.long.length > before + 8000);
    program.release();
    await until(() => context.came.length === count);
    assert.deepEqual(context.came, upTo(count));
    close();
  });

  it("goes the long way for good once the system has taken a part of a frame, in order", async () => {
    const { program, context, close } = await pair();
    program.ways.socket?.destroy();
    // Unlike a socket of Linux, a pipe takes what it has room for.
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const input = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    program.ways.socket = new Socket({
      fd: openSync(pipe, constants.O_WRONLY),
      readable: false,
      writable: true,
    });
    let count = 0;
    while (count < 100) program.send(count++, { bytes: 7000 });
    const memory = Buffer.alloc(1024 * 1024);
    const taken = readSync(input, memory, 0, memory.length, null);
    assert.ok(
      program.ways.bytesSent > 0 && program.ways.bytesSent < taken,
      `${program.ways.bytesSent} of ${taken}`,
    );
    for (let more = 0; more < 200; more++) assert.equal(program.send(count++), false);
    context.ways.receive(memory.subarray(0, taken));
    program.release();
    assert.deepEqual(context.came, upTo(count));
    assert.deepEqual([program.broken, context.broken], [undefined, undefined]);
    closeSync(input);
    close();
  });

  it("goes the long way once the socket is gone, in order", async () => {
    const { program, context, close } = await pair();
    const count = program.warm();
    program.release();
    await until(() => context.came.length === count);
    program.send(count);
    program.ways.close();
    program.send(count + 1);
    program.release();
    assert.deepEqual(context.came, upTo(count + 2));
    close();
  });

  it("reports that the other end has not sent what its fence says", async () => {
    const { program, context, close } = await pair();
    const fence = Buffer.alloc(8);
    fence.writeUInt32BE(1, 0);
    fence.writeUInt32BE(100, 4);
    const to = { dstId: 0, srcId: 1, authId: 1, handle: Handle.CALL_FUNCTION, replyTo: 0 };
    program.ways.takeFence({ encoding: Encoding.RAW, ...to, body: [fence] });
    assert.equal(program.broken, "it claims to have sent bytes that it has not sent");
    context.ways.takeFence({ encoding: Encoding.RAW, ...to, body: [Buffer.alloc(0)] });
    assert.equal(context.broken, undefined);
    close();
  });

  it("reports bytes that are no frame, and a frame that is too large", async () => {
    for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n\r\n"), largeHeader()]) {
      const { program, context, close } = await pair();
      (context.ways.socket as Socket).write(bytes);
      await until(() => program.broken !== undefined);
      assert.match(program.broken as string, /bad magic|exceeds maxMessageBytes/);
      close();
    }
  });
});

function largeHeader(): Buffer {
  const header = Buffer.alloc(26);
  header.writeUInt16BE(Encoding.RAW, 0);
  header.writeUInt32BE(MOST + 1, 22);
  return header;
}
