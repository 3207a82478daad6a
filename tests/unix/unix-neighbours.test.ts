/**
 * How `listen` and `connect` treat a peer that hangs, speaks another version or is gone, and contexts behind
 * the peer.
 */
import assert from "node:assert/strict";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect as openSocket, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { configFrame } from "../../src/bootstrap/config-frame.ts";
import { ChannelError, connect, listen, Router, StreamError } from "../../src/index.ts";
import { MAX_CLIENTS } from "../../src/unix/unix-listener.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { ask, forge } from "../fixtures/remote/hostile.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-unix-"));
let path = "";
let count = 0;
beforeEach(() => {
  path = join(folder, `${++count}.sock`);
});
after(() => rmSync(folder, { recursive: true }));

/**
 * Connects to a listener and writes `text`; then neither reads nor ends the connection.
 */
async function clingTo(at: string, text: string): Promise<Socket> {
  const socket = new Socket({ allowHalfOpen: true });
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => socket.connect(at, resolve));
  socket.write(text);
  return socket;
}

/** Resolves when the other side has ended or reset the connection. */
function endOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.resume().once("end", resolve).once("close", resolve));
}

async function failureOf(run: Promise<unknown>): Promise<Error> {
  return await run.then(
    () => assert.fail("it did not fail"),
    (error) => error as Error,
  );
}

/** Starts a listener that lets programs in and then hangs. Returns a function that ends it. */
async function hungListener(at: string): Promise<() => Promise<void>> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket
      .on("error", () => undefined)
      .once("data", () => {
        const config = {
          contextId: 7,
          parentIds: [0],
          logLevel: 3,
          maxMessageBytes: 1024 * 1024,
          unidirectional: false,
          pid: 1,
        };
        for (const piece of encodeFrame(configFrame(config as never))) socket.write(piece);
      });
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  return async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
}

describe("listen", () => {
  it("closes even if a program that was not let in keeps its connection open", async () => {
    await using router = new Router();
    const listener = listen(router, { path });
    const logs = collectLogs();
    const clinging = await clingTo(path, "mitogen:unix 999 1\n");
    await logs.until(() =>
      logs.records.some(({ message }) => /not let in: it speaks version 999/.test(message)),
    );
    logs.stop();
    await listener.close();
    clinging.destroy();
  });
  it("closes even if a program that was let in neither reads nor leaves", async () => {
    await using router = new Router();
    const listener = listen(router, { path });
    const clinging = await clingTo(path, "mitogen:unix 1 1\n");
    await new Promise((resolve) => clinging.once("data", resolve));
    await listener.close();
    clinging.destroy();
  });
  it("ends the connections of programs that have not greeted yet when it closes", async () => {
    await using router = new Router();
    const listener = listen(router, { path });
    const stranger = openSocket(path);
    const ended = new Promise((resolve) => stranger.once("close", resolve));
    await new Promise((resolve) => stranger.once("connect", resolve));
    stranger.resume();
    await listener.close();
    await ended;
  });
  it("refuses a folder of another user, who could replace the socket", {
    skip: process.getuid?.() !== 0 && "Needs root, to be another user",
  }, async () => {
    await using router = new Router();
    const theirs = join(folder, "theirs");
    mkdirSync(theirs, { mode: 0o755 });
    chownSync(theirs, 12345, 12345);
    assert.throws(() => listen(router, { path: join(theirs, "s") }), {
      name: "StreamError",
      message:
        /^Cannot listen at .*: .* belongs to user 12345, who may replace what is in it; use a folder of your own$/,
    });
    assert.deepEqual(readdirSync(theirs), []);
  });
  it("accepts many programs at the same moment", async () => {
    await using router = new Router();
    listen(router, { path });
    const connections = await Promise.all(Array.from({ length: 90 }, () => connect(path)));
    assert.equal(new Set(connections.map(({ router: client }) => client.contextId)).size, 90);
    await Promise.all(connections.map(({ router: client }) => client.shutdown()));
  });
  it("keeps at most 100 connections that have not greeted, each for ten seconds", async (t) => {
    await using router = new Router();
    listen(router, { path });
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const logs = collectLogs();
    const strangers: Socket[] = [];
    for (let number = 0; number < 100; number++) strangers.push(await clingTo(path, "mitogen"));
    const ends = strangers.map(endOf);
    const late = await clingTo(path, "mitogen");
    await endOf(late);
    assert.deepEqual(
      logs.records.map(({ level, message }) => [level, message]),
      [["warning", `${path}: refused a client: 100 others have not identified themselves`]],
    );
    t.mock.timers.tick(9999);
    assert.equal(logs.records.length, 1);
    t.mock.timers.tick(1);
    assert.equal(
      logs.records.filter(({ message }) => /no greeting within 10000 ms$/.test(message)).length,
      100,
    );
    await Promise.all(ends);
    t.mock.timers.reset();
    logs.stop();
    for (const socket of [late, ...strangers]) socket.destroy();
    const { router: client } = await connect(path);
    await client.shutdown();
  });
  it("lets 256 programs in, tells the next one why it is refused, and lets another in when one has left", async () => {
    await using router = new Router();
    listen(router, { path });
    const clients: Awaited<ReturnType<typeof connect>>[] = [];
    while (clients.length < MAX_CLIENTS) {
      clients.push(...(await Promise.all(Array.from({ length: 64 }, () => connect(path)))));
    }
    const refused = await failureOf(connect(path));
    assert.match(refused.message, /256 programs are connected, which is the maximum/);
    const [first, ...others] = clients as [(typeof clients)[0], ...typeof clients];
    await first.router.shutdown();
    // Refused until the listener has noticed that the first one left.
    let admitted: (typeof clients)[0] | undefined;
    while (admitted === undefined) admitted = await connect(path).catch(() => undefined);
    const { router: late, context } = admitted;
    assert.ok((await context.ping()) >= 0);
    await Promise.all([late.shutdown(), ...others.map(({ router: client }) => client.shutdown())]);
  });
  it("makes the program take calls, even if earlier listeners have been closed", async () => {
    await using router = new Router();
    const [first, second] = [listen(router, { path }), listen(router)];
    await first.close();
    await router.myself().ping();
    await second.close();
    await using third = listen(router, { path });
    const { router: client, context } = await connect(third.path);
    assert.equal(await context.call(remote.add, 1, 2), 3);
    await client.shutdown();
  });
  it("lets programs that connect call functions, but not the program's own contexts", async () => {
    await using router = new Router();
    listen(router, { path });
    const child = await router.local();
    const trace = join(folder, "by a child");
    const call = [null, "node:fs", ["writeFileSync"], [trace, ""]];
    assert.match(
      String(await child.call(ask, router.myself(), Handle.CALL_FUNCTION, call)),
      /to handle 101 of context 0: refused by policy$/,
    );
    assert.ok(!existsSync(trace));
  });
  it("says what is wrong with its arguments", async () => {
    await using router = new Router();
    assert.throws(() => listen(router, { path: 5 as never }), {
      name: "TypeError",
      message: "Cannot listen: path must be a string, got 5",
    });
    writeFileSync(path, "");
    assert.throws(
      () => listen(router, { path: join(path, "s") }),
      /: a part of the path is not a folder \(ENOTDIR\)$/,
    );
    rmSync(path);
    listen(router, { path });
    const { router: client } = await connect(path);
    assert.throws(() => listen(client as never), {
      name: "TypeError",
      message: /^Cannot listen: the router must be one that this program has made/,
    });
    await assert.rejects(connect(undefined as never), {
      name: "TypeError",
      message: "Cannot connect to a socket: its path must be a string, got undefined",
    });
    await client.shutdown();
  });
  it("throws if the router has been shut down, and leaves no socket", async () => {
    const router = new Router();
    await router.shutdown();
    assert.throws(() => listen(router, { path }), {
      name: "CancelledError",
      message: `Cannot listen at ${path}: the router has been shut down`,
    });
    assert.ok(!existsSync(path));
  });
});

describe("connect", () => {
  it("returns a router that shuts down even if the listener hangs", async () => {
    const close = await hungListener(path);
    const { router: client, context } = await connect(path);
    const waiting = failureOf(context.ping());
    await client.shutdown();
    assert.ok((await waiting) instanceof ChannelError);
    await close();
  });
  it("fails calls to a context behind the listener, at any depth, when that context is killed", async () => {
    await using router = new Router();
    listen(router, { path });
    const { router: client } = await connect(path);
    for (const depth of [1, 2]) {
      const hop = await router.local({ name: "hop" });
      const target = depth === 1 ? hop : await router.local({ name: "below", via: hop });
      const there = client.context(target.contextId, "there");
      const pid = await target.call(remote.pid);
      const waiting = failureOf(there.call(remote.echoLater, "too late", 600_000));
      await there.ping();
      process.kill(pid, "SIGKILL");
      const error = await waiting;
      assert.ok(error instanceof ChannelError, String(error));
      assert.match(error.message, /SIGKILL|signal 9/);
    }
    await client.shutdown();
  });
  it("does not believe a context behind the listener about the end of another", async () => {
    await using router = new Router();
    listen(router, { path });
    const liar = await router.local({ name: "liar" });
    const child = await router.local({ name: "child" });
    await child.call(remote.pid);
    const { router: client } = await connect(path);
    const there = client.context(child.contextId, "child");
    const waiting = there.call(remote.echoLater, "answer", 300);
    await there.ping();
    await liar.call(forge, { dstId: client.contextId, handle: Handle.DEL_ROUTE }, [child.contextId, "a lie"]);
    assert.equal(await waiting, "answer");
    await client.shutdown();
  });
  it("starts calls in the order in which they were made, even if one module takes longer to find", async () => {
    await using router = new Router();
    listen(router, { path });
    const { router: client, context } = await connect(path);
    const trace = join(folder, "trace");
    const [, isThere] = await Promise.all([
      context.call(remote.touch, trace),
      context.call(existsSync, trace),
    ]);
    assert.equal(isThere, true);
    await client.shutdown();
  });
  it("says that the path leads to something other than a socket", async () => {
    const error = await failureOf(connect(folder));
    assert.ok(error instanceof StreamError);
    assert.match(error.message, /^Cannot connect to .*: it is not a socket$/);
  });
  it("refuses a socket of another user, even as root", {
    skip: process.getuid?.() !== 0 && "Needs root, to be another user",
  }, async () => {
    await using router = new Router();
    listen(router, { path });
    chownSync(path, 12345, 12345);
    const error = await failureOf(connect(path));
    assert.ok(error instanceof StreamError);
    assert.match(error.message, /: it belongs to user 12345, not to 0; connect as that user$/);
  });
  it("refuses an invalid timeout", async () => {
    for (const timeoutMs of [-1, Number.NaN]) {
      await assert.rejects(connect(path, { timeoutMs }), RangeError);
    }
  });
});
