import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, connect as openSocket, type Socket } from "node:net";
import { hostname, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import {
  CallError,
  ChannelError,
  type ClientRouter,
  type Context,
  connect,
  hasParentAuthority,
  listen,
  type Message,
  Receiver,
  Router,
  StreamError,
  TimeoutError,
} from "../../src/index.ts";
import { watch } from "../fixtures/remote/calls.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { waitForever } from "../fixtures/remote/parents.ts";
import * as streams from "../fixtures/remote/streams.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";
import { crowd } from "../support/short-way.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-unix-"));
let path = "";
let count = 0;
beforeEach(() => {
  path = join(folder, `${++count}.sock`);
});
after(() => rmSync(folder, { recursive: true }));

const failureOf = (run: () => unknown): Promise<NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException }> =>
  Promise.resolve()
    .then(run)
    .then(
      () => assert.fail("it did not fail"),
      (error) => error,
    );

/** Leaves a socket file at which nobody listens. */
async function leaveDeadSocket(at: string): Promise<void> {
  // Not made by `listen`, whose reaper would remove the file.
  const script =
    'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
  await once(spawn(process.execPath, ["-e", script, at], { stdio: "ignore" }), "exit");
  assert.ok(lstatSync(at).isSocket());
}

/** Says something to a listener, and waits until it has hung up. */
function say(at: string, text: string, isEnd = false): Promise<void> {
  return new Promise((resolve) => {
    const socket: Socket = openSocket(at, () => (isEnd ? socket.end(text) : socket.write(text)));
    socket.on("error", () => undefined).on("close", () => resolve());
    socket.resume();
  });
}

export function inTheEntryScript(): void {}

describe("listen", () => {
  it("makes a socket at the given path that only this user can open, and removes it when it closes", async () => {
    await using router = new Router();
    const listener = listen(router, { path });
    assert.equal(listener.path, path);
    assert.equal(lstatSync(path).mode & 0o777, 0o600);
    assert.ok(lstatSync(path).isSocket());
    assert.deepEqual(readdirSync(folder), [basename(path)], "nothing else is left");
    await listener.close();
    await listener.close();
    assert.ok(!existsSync(path));
  });
  it("makes up a path if none is given, and closes when the router shuts down", async () => {
    const router = new Router();
    const listener = listen(router);
    assert.equal(dirname(listener.path), tmpdir());
    assert.match(basename(listener.path), /^mitogen_unix_.*\.sock$/);
    const closed = listener.wait();
    await router.shutdown();
    await closed;
    assert.ok(!existsSync(listener.path));
  });
  it("closes even if the socket is gone, or belongs to another listener", async () => {
    await using router = new Router();
    const first = listen(router, { path });
    rmSync(path);
    const second = listen(router, { path });
    await first.close();
    assert.ok(existsSync(path), "the socket of the second listener stays");
    await second.close();
    assert.ok(!existsSync(path));
  });
  it("replaces a dead socket, but never a live one or another file", async () => {
    await using router = new Router();
    await leaveDeadSocket(path);
    const listener = listen(router, { path });
    const error = await failureOf(() => listen(router, { path }));
    assert.ok(error instanceof StreamError);
    assert.match(
      error.message,
      /^Cannot listen at .*: somebody listens there already; choose another path, or connect to it$/,
    );
    assert.equal(error.cause?.code, "EADDRINUSE");
    const { router: client, context } = await connect(path);
    assert.equal(await context.call(remote.add, 1, 1), 2);
    await client.shutdown();
    await listener.close();
    writeFileSync(path, "precious");
    assert.match(
      (await failureOf(() => listen(router, { path }))).message,
      /the path leads to a file that is not a socket/,
    );
    assert.ok(existsSync(path));
    assert.deepEqual(readdirSync(folder), [basename(path)]);
    rmSync(path);
  });
  it("refuses a folder that others may write to unless it is sticky, an invalid path, and a missing folder", async () => {
    await using router = new Router();
    const open = join(folder, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    assert.match(
      (await failureOf(() => listen(router, { path: join(open, "s") }))).message,
      /others may write to/,
    );
    chmodSync(open, 0o1777);
    await listen(router, { path: join(open, "s") }).close();
    for (const bad of [join(folder, "x".repeat(120)), "", "a\0b"]) {
      await assert.rejects(async () => listen(router, { path: bad }), RangeError);
    }
    const missing = await failureOf(() => listen(router, { path: join(folder, "missing", "s") }));
    assert.ok(missing instanceof StreamError);
    assert.equal(missing.cause?.code, "ENOENT");
    rmSync(open, { recursive: true });
  });
  it("takes a path of the greatest length, which leaves no room for a private folder beside it", async () => {
    await using router = new Router();
    const deep = join(folder, "d".repeat(96 - folder.length));
    mkdirSync(deep);
    const listener = listen(router, { path: join(deep, "123456789") });
    const { router: client, context } = await connect(listener.path);
    assert.equal(await context.call(remote.add, 1, 1), 2);
    await client.shutdown();
    await listener.close();
    rmSync(deep, { recursive: true });
  });
  it("makes no socket in a temporary folder whose path is too long, or that others may write to", async () => {
    await using router = new Router();
    const { TMPDIR } = process.env;
    const deep = join(folder, "d".repeat(96 - folder.length));
    const open = join(folder, "open");
    for (const each of [deep, open]) mkdirSync(each);
    chmodSync(open, 0o777);
    try {
      for (const [temporary, reason] of [
        [deep, /is too long for sockets in it; set TMPDIR to a shorter one/],
        [open, /others may write to .*open and replace/],
      ] as const) {
        process.env["TMPDIR"] = temporary;
        const { message } = await failureOf(() => listen(router, { path: join(deep, "123456789") }));
        assert.match(message, reason);
        assert.deepEqual(readdirSync(temporary), []);
      }
    } finally {
      if (TMPDIR === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = TMPDIR;
      for (const each of [deep, open]) rmSync(each, { recursive: true });
    }
  });
  it("refuses none of many programs that connect at once while the listening program is busy", async () => {
    await using router = new Router();
    const listener = listen(router, { path });
    assert.deepEqual(crowd(path, 200), []);
    await listener.close();
  });
});

describe("connect", () => {
  it("returns the context of the listening program, and gives the client that program's authority", async () => {
    await using router = new Router();
    listen(router, { path });
    const seen: Message[] = [];
    const handle = router.addHandler(
      (message) => {
        seen.push(message);
        message.reply(message.decode());
      },
      { policy: hasParentAuthority },
    );
    const { router: client, context } = await connect(path);
    assert.equal(await context.request(handle, "hello"), "hello");
    const [message] = seen as [Message];
    assert.deepEqual([message.srcId, message.authId], [client.contextId, 0]);
    assert.equal(message.context.name, `unix_client.${process.pid}`);
    assert.deepEqual([context.contextId, context.name], [0, `unix_listener.${process.pid}`]);
    assert.ok((await context.ping()) >= 0);
    assert.ok((await message.context.ping()) >= 0);
    await client.shutdown();
  });
  it("keeps connections apart, even those of one program", async () => {
    await using router = new Router();
    listen(router, { path });
    const connections = await Promise.all([connect(path), connect(path), connect(path)]);
    const ids = connections.map(({ router: { contextId } }) => contextId);
    assert.equal(new Set([0, ...ids]).size, 4);
    for (const { router: client } of connections) assert.deepEqual([...client.parentIds], [0]);
    // To each other, the clients are ordinary contexts.
    const [one, two] = connections.map((each) => each.router) as [ClientRouter, ClientRouter];
    const receiver = new Receiver<string>(one);
    await two.sender(one.contextId, receiver.handle).send("from two");
    assert.equal((await receiver.get()).decode(), "from two");
    receiver.close();
    await Promise.all(connections.map(({ router: client }) => client.shutdown()));
  });
  it("calls functions in the listening program and in contexts behind it, and gets the errors they throw", async () => {
    await using router = new Router();
    const child = await router.local({ name: "child" });
    // The listening program serves only modules that it uses itself.
    assert.equal(await child.call(withMitogen.isMainHere), false);
    listen(router, { path });
    const { router: client, context } = await connect(path);
    assert.equal(await context.call(remote.pid), process.pid);
    assert.equal(await context.call(hostname), hostname());
    assert.ok((await context.call(Date.now)) > 1e12);
    assert.equal(await context.call(remote.echoLater, "x", 1), "x");
    await assert.rejects(context.call(remote.fail, "on purpose"), /on purpose/);
    assert.ok((await failureOf(() => context.call(remote.returnFunction))) instanceof CallError);
    const behind: Context = client.context(child.contextId, "child");
    assert.equal(await behind.call(remote.add, 20, 22), 42);
    const receiver = new Receiver<number>(client);
    const sending = behind.call(withMitogen.sendNumbers, receiver.toSender(), 3);
    const got: number[] = [];
    for await (const message of receiver) got.push(message.decode());
    await sending;
    assert.deepEqual(got, [0, 1, 2]);
    receiver.close();
    await client.shutdown();
  });
  it("logs a failure that nobody waits for, and starts calls in the order in which they were made", async () => {
    await using router = new Router();
    listen(router, { path });
    const logs = collectLogs();
    const { router: client, context } = await connect(path);
    context.callNoReply(remote.fail, "unseen");
    await logs.until(() => logs.records.some(({ message }) => /Call of fail of .*: unseen/s.test(message)));
    // With a timeout, the call has a reply.
    context.with({ timeoutMs: 10_000 }).callNoReply(remote.fail, "bounded");
    await logs.until(() => logs.records.some(({ message }) => /Call of fail of .*: bounded/s.test(message)));
    logs.stop();
    const first = context.call(remote.begin, "a");
    const second = context.call(remote.begin, "b");
    assert.deepEqual((await context.call(remote.release)).slice(0, 2), ["start a", "start b"]);
    await Promise.all([first, second]);
    await client.shutdown();
  });
  it("supports streams, chains and module handles, and tells functions when their calls are given up", async () => {
    await using router = new Router();
    listen(router, { path });
    const { router: client, context } = await connect(path);
    const receiver = new Receiver<string>(client);
    for await (const value of context.stream(streams.waiting, receiver.toSender())) {
      assert.equal(value, "first");
      break;
    }
    assert.equal((await receiver.get()).decode(), "ended");
    const chain = context.chain();
    chain.callNoReply(remote.fail, "first");
    await assert.rejects(chain.call(remote.add, 1, 1), /first/);
    const handle = await context.import<typeof remote>(
      new URL("../fixtures/remote/functions.js", import.meta.url),
    );
    assert.equal(await handle.add(40, 2), 42);
    const abort = new AbortController();
    const told = new Receiver<unknown>(client);
    const given = context.with({ signal: abort.signal }).call(watch, told.toSender());
    assert.equal((await told.get()).decode(), client.contextId);
    abort.abort(new RangeError("enough"));
    await assert.rejects(given, /enough/);
    assert.match(String((await told.get()).decode()), /enough/);
    await client.shutdown();
  });
  it("refuses functions of this program's entry script, and modules that are not files", async () => {
    await using router = new Router();
    listen(router, { path });
    const { router: client, context } = await connect(path);
    await assert.rejects(context.call(inTheEntryScript), { name: "TypeError", message: /entry script/ });
    const own = client.contextById(0);
    const bodies = [null, [], [1, "global", ["Date"], []], [null, "data:text/javascript,", ["x"], []]];
    for (const body of [
      ...bodies,
      [null, "global", ["nothing"], []],
      [null, "file:///nowhere.js", ["x"], []],
    ]) {
      await assert.rejects(own.request(101, body), CallError);
    }
    await client.shutdown();
  });
  it("rejects if nobody listens, and keeps the system's error", async () => {
    const missing = await failureOf(() => connect(path));
    assert.ok(missing instanceof StreamError);
    assert.match(missing.message, /^Cannot connect to .*: there is no such file or folder \(ENOENT\)$/);
    assert.deepEqual([missing.code, missing.cause?.code, missing.errno], ["ERR_STREAM", "ENOENT", -2]);
    await leaveDeadSocket(path);
    const refused = await failureOf(() => connect(path));
    assert.ok(refused instanceof StreamError);
    assert.deepEqual([refused.cause?.code, refused.syscall], ["ECONNREFUSED", "connect"]);
    await assert.rejects(connect("x".repeat(200)), RangeError);
  });
  it("gives up if the listener speaks another version, is not a listener, or says nothing", async () => {
    const sockets = new Set<Socket>();
    let answer = Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n and so on, longer than a header");
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).once("data", () => answer.length > 0 && socket.end(answer));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    assert.match((await failureOf(() => connect(path))).message, /was not let in: .*protocol error/);
    const reason = "it speaks version 1 of the protocol, this program speaks version 2";
    const dead = new Router().deadFrame(0, 0, reason);
    const header = Buffer.alloc(26);
    header.writeUInt16BE(dead.encoding, 0);
    header.writeUInt32BE(999, 18);
    header.writeUInt32BE(Buffer.concat(dead.body).length, 22);
    answer = Buffer.concat([header, ...dead.body]);
    assert.match((await failureOf(() => connect(path))).message, new RegExp(reason));
    answer = Buffer.alloc(0);
    await assert.rejects(connect(path, { timeoutMs: 50 }), TimeoutError);
    const end = new AbortController();
    server.once("connection", () => end.abort(new Error("given up")));
    await assert.rejects(connect(path, { signal: end.signal }), { message: "given up" });
    await assert.rejects(connect(path, { signal: end.signal }), { message: "given up" });
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("the end of a connection", () => {
  it("is noticed by both sides, whoever ends it", async () => {
    for (const by of ["listener", "client", "router"] as const) {
      const router = new Router();
      const listener = listen(router, { path });
      const { router: client, context } = await connect(path);
      const there = router.contextById(client.contextId);
      const receiver = new Receiver(router, { respondent: there });
      const waiting = failureOf(() => context.call(waitForever));
      const heard = failureOf(() => receiver.get());
      await context.ping();
      if (by === "listener") await listener.close();
      else if (by === "client") await client.shutdown();
      else await there.shutdown();
      assert.ok((await waiting) instanceof ChannelError);
      assert.ok((await heard) instanceof ChannelError);
      await Promise.all([context.disconnected, there.disconnected]);
      await assert.rejects(context.call(remote.pid), ChannelError);
      await assert.rejects(there.ping(), ChannelError);
      await assert.rejects(new Receiver(client).get(), ChannelError);
      await client.shutdown();
      await router.shutdown();
    }
  });
  it("harms no other client, even if a client vanishes, talks nonsense or speaks another version", async () => {
    await using router = new Router();
    listen(router, { path });
    const logs = collectLogs();
    const { router: client, context } = await connect(path);
    await say(path, "", true);
    await say(path, "mitogen:un", true);
    await say(path, "GET / HTTP/1.0\r\n");
    await say(path, "x".repeat(1000));
    await say(path, "mitogen:unix 999 1\n");
    await say(path, "mitogen:unix 1 1\n and then no frame, but more than its header has");
    const refused = logs.records.filter(({ message }) => /a client was not let in/.test(message));
    assert.deepEqual(
      refused.map(({ message }) => message.replace(/^.*let in: /, "")),
      [
        "it left before its greeting was complete",
        "it left before its greeting was complete",
        "it did not greet",
        "it did not greet",
        "it speaks version 999 of the protocol, this program speaks version 1",
      ],
    );
    logs.stop();
    assert.equal(await context.call(remote.add, 2, 2), 4);
    await client.shutdown();
  });
});

describe("programs that listen and connect", () => {
  it("call each other's modules, and end by themselves", async () => {
    const server = runProgram("e2e/listening.mjs", { env: { MITOGEN_TEST_LISTEN: path } });
    const pid = await server.line();
    const client = await runProgram("e2e/connecting.mjs", { env: { MITOGEN_TEST_LISTEN: path } }).ended;
    assert.equal(client.code, 0, client.stderr);
    const [first, second] = client.stdout.split("\n");
    assert.equal(first, `${pid} true`);
    assert.match(second ?? "", /Cannot call function 'own' in the listening program: .*entry script/);
    // A client that is killed does not affect the next one.
    const env = { MITOGEN_TEST_LISTEN: path, MITOGEN_TEST_CLIENT: "leave" };
    assert.equal((await runProgram("e2e/connecting.mjs", { env }).ended).signal, "SIGKILL");
    assert.equal(
      (await runProgram("e2e/connecting.mjs", { env: { MITOGEN_TEST_LISTEN: path } }).ended).code,
      0,
    );
    server.process.kill("SIGTERM");
    await server.ended;
  });
  it("leave no socket behind when their main script just ends", async () => {
    const { code } = await runProgram("e2e/listening.mjs", { env: { MITOGEN_TEST_LISTEN: `${path} return` } })
      .ended;
    assert.equal(code, 0);
    assert.ok(!existsSync(path));
  });
});
