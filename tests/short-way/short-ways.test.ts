import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { CoreRouter } from "../../src/core/router.ts";
import { ShortWays } from "../../src/short-way/short-ways.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { FakeLink } from "../support/fake-link.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks();

const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
after(() => rmSync(folder, { recursive: true }));

const CALLS = 16;

function frame(change: Partial<Frame>): Frame {
  const content = { encoding: Encoding.CBOR, body: encodeValue(null) };
  return { dstId: 0, srcId: 1, authId: 1, handle: 2000, replyTo: 0, ...content, ...change };
}

const call = (dstId: number): Frame => frame({ dstId, srcId: 0, authId: 0, handle: Handle.CALL_FUNCTION });

/** A program with a child, context 1, and the offer of a short way to the child. */
class Program {
  readonly router: CoreRouter = new CoreRouter(undefined, { contextId: 0 });
  readonly link: FakeLink = new FakeLink();
  readonly routed: Frame[] = [];
  readonly ended: string[] = [];
  readonly ways: ShortWays;
  offer: [path: string, hello: Buffer, proof: Buffer] | undefined;

  constructor() {
    const { router } = this;
    router.attach(this.link, 1, "child");
    router.contextById(1).callNoReply = (...[, ...offer]: unknown[]) => {
      this.offer = offer as [string, Buffer, Buffer];
    };
    const path = join(folder, `${Math.random()}`);
    this.ways = new ShortWays({
      router,
      routeLong: (each) => void this.routed.push(each),
      end: (contextId, reason) => void this.ended.push(`${contextId}: ${reason}`),
      listen: (server: Server) => {
        server.listen({ path, exclusive: true });
        return { path, remove: () => undefined };
      },
    });
    this.ways.add(1, 0);
  }

  /** Calls the context often enough, and connects in its place. */
  async connect(): Promise<Socket> {
    for (let calls = 0; calls < CALLS; calls++) assert.equal(this.ways.takeFrame(call(1), undefined), false);
    await turn();
    const [path, hello, proof] = this.offer ?? assert.fail("nothing was offered");
    const socket = connect(path);
    await once(socket, "connect");
    socket.write(hello);
    const [answer] = await once(socket, "data");
    assert.deepEqual(answer, proof);
    return socket;
  }
}

describe("ShortWays", () => {
  it("delivers frames that were sent before a context is forgotten", async () => {
    const program = new Program();
    const socket = await program.connect();
    const frames = [1, 2, 3].map((handle) => frame({ handle: 2000 + handle }));
    socket.write(Buffer.concat(frames.flatMap((each) => encodeFrame(each))));
    // The event loop does not run before this, so the frames are still in the socket.
    program.ways.forget([1]);
    assert.deepEqual(
      program.routed.map(({ handle }) => handle),
      [2001, 2002, 2003],
    );
    await once(socket, "close");
    program.ways.close();
    assert.deepEqual(program.ended, []);
  });

  it("sends nothing the short way before the context has used it", async () => {
    const program = new Program();
    const socket = await program.connect();
    assert.equal(program.ways.takeFrame(call(1), undefined), false);
    assert.equal(program.ways.traffic(1), undefined);
    socket.write(encodeFrame(frame({}))[0] as Uint8Array);
    while (program.ways.traffic(1) === undefined) await turn();
    assert.equal(program.ways.takeFrame(call(1), undefined), true);
    // The short way takes neither frames of others, nor replies, nor frames that are not for user code.
    const from = program.router.peerOf(1);
    assert.equal(program.ways.takeFrame(call(1), from), false);
    for (const handle of [Handle.PING, Handle.SHUTDOWN, Handle.LOAD_MODULE, Handle.FIRST_REPLY, 0x80000000]) {
      assert.equal(program.ways.takeFrame({ ...call(1), handle }, undefined), false, `${handle}`);
    }
    assert.equal(program.ways.takeFrame({ ...call(1), srcId: 2 }, undefined), false);
    assert.equal(program.ways.takeFrame({ ...call(1), body: [Buffer.alloc(20_000)] }, undefined), false);
    program.ways.forget([1]);
    program.ways.close();
    await once(socket, "close");
  });

  it("is not offered if a hop may not have one", async () => {
    const program = new Program();
    program.ways.add(3, 2);
    for (let calls = 0; calls < 2 * CALLS; calls++) program.ways.takeFrame(call(3), undefined);
    await turn();
    assert.equal(program.offer, undefined);
    program.ways.close();
  });
});
