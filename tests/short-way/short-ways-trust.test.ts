/** Who may take a short way, and which frames may come by it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, type LogRecord, Router } from "../../src/index.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { sendFence } from "../fixtures/remote/hostile.ts";
import * as order from "../fixtures/remote/order.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { sampleOf } from "../support/extent.ts";
import { skipReason } from "../support/lab.ts";
import { labMethods } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";
import { crowd, hasShortWay, impostor, offerTo, stranger, useShortWay } from "../support/short-way.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** How long a busy machine may take. */
const PATIENCE_MS = 20_000;
/** The length of the hello of a stranger, and how long it may take. */
const HELLO_BYTES = 36;
const HELLO_MS = 10_000;

function bytesOf(change: Partial<Frame>): Buffer {
  const frame = { dstId: 0, srcId: 1, authId: 1, handle: 2000, replyTo: 0, body: encodeValue(null) };
  return Buffer.concat(encodeFrame({ encoding: Encoding.CBOR, ...frame, ...change }));
}

describe("the socket of a program's short ways", () => {
  it("lies in a folder that only its user can enter, takes many at once, and is gone with the router", async () => {
    const router = new Router();
    const context = await router.local();
    const [path] = await offerTo(context, true);
    const folder = dirname(path);
    const { mode, uid } = statSync(folder);
    assert.deepEqual([mode & 0o777, uid], [0o700, process.getuid?.()]);
    assert.ok(statSync(path).isSocket());
    assert.ok(Buffer.byteLength(path) <= 103);
    if (process.getuid?.() === 0) {
      const script = `require("net").connect(${JSON.stringify(path)}).on("error", ({ code }) => console.log(code))`;
      const child = spawn(process.execPath, ["-e", script], { uid: 65534, gid: 65534, cwd: "/" });
      const [code] = await once(child.stdout, "data");
      assert.equal(String(code).trim(), "EACCES");
      await once(child, "close");
    }
    // Many contexts may connect at once while the program is busy.
    assert.deepEqual(crowd(path, 200), []);
    // A connection that stays does not keep the folder.
    const silent = await stranger(path);
    await router.shutdown();
    assert.equal(existsSync(folder), false);
    await silent.ended;
  });

  it("is gone when the program is killed", async () => {
    const program = runProgram("short-way/waiting.mjs");
    const path = await program.line();
    assert.ok(existsSync(path));
    program.process.kill("SIGKILL");
    await program.ended;
    const deadline = Date.now() + PATIENCE_MS;
    while (existsSync(dirname(path)) && Date.now() < deadline) await pause(10);
    assert.equal(existsSync(dirname(path)), false);
  });

  it("refuses a connection that says nothing, something else, or what was said before", async () => {
    await using router = new Router();
    const logs = collectLogs("warning");
    const [own, other] = [await router.local(), await router.local()];
    const [path, hello] = await offerTo(own, false);
    const [, otherHello] = await offerTo(other, true);
    await useShortWay(own);
    const [silent, slow] = [await stranger(path), await stranger(path)];
    const trickle = setInterval(() => slow.socket.write("x"), 1500);
    const wrong = [
      hello,
      Buffer.concat([hello.subarray(0, 4), otherHello.subarray(4)]),
      Buffer.alloc(HELLO_BYTES),
      Buffer.alloc(HELLO_BYTES, 0xff),
      Buffer.concat([otherHello, Buffer.alloc(1)]),
    ];
    for (const said of wrong) {
      const { socket, heard, ended } = await stranger(path);
      socket.write(said);
      await ended;
      assert.equal(heard().length, 0);
    }
    assert.equal(logs.records.length, wrong.length);
    assert.equal(await own.call(remote.add, 1, 2), 3);
    await Promise.all([own.shutdown(), other.shutdown()]);
    const since = Date.now();
    await Promise.all([silent.ended, slow.ended]);
    clearInterval(trickle);
    assert.ok(Date.now() - since < HELLO_MS + PATIENCE_MS);
    assert.deepEqual([silent.heard().length, slow.heard().length], [0, 0]);
    logs.stop();
  });

  it("is not needed: if it cannot be made, contexts work without it, and no files stay", async () => {
    const { TMPDIR, XDG_RUNTIME_DIR } = process.env;
    const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
    // An older Node would make the socket under a shorter name, outside of the private folder.
    const deep = join(folder, "d".repeat(96 - folder.length));
    mkdirSync(deep);
    try {
      for (const temporary of ["/nowhere", deep]) {
        process.env["TMPDIR"] = temporary;
        delete process.env["XDG_RUNTIME_DIR"];
        await using router = new Router();
        const context = await router.local();
        for (let calls = 0; calls < 100; calls++) await context.call(remote.add, 1, 2);
        assert.equal(hasShortWay(context), false);
        assert.deepEqual(readdirSync(deep), []);
      }
    } finally {
      for (const [name, value] of Object.entries({ TMPDIR, XDG_RUNTIME_DIR })) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a frame by a short way", () => {
  let router: Router;
  let other: Context;
  let victim: Context;
  let sibling: Context;
  before(async () => {
    router = new Router();
    other = await router.local();
    [victim, sibling] = [await router.local({ via: other }), await router.local({ via: other })];
  });
  after(() => router.shutdown());

  it("does not tell others what admits it", async () => {
    const logs = collectLogs("debug");
    const [, hello, proof] = await offerTo(other, false);
    await useShortWay(other);
    const text = [router.dump(), String(other.describe()), JSON.stringify(other.describe())];
    for (const { message } of logs.records as LogRecord[]) text.push(message);
    for (const secret of [hello.subarray(4), proof]) {
      for (const form of ["hex", "base64", "latin1"] as const) {
        assert.ok(!text.join("\n").includes(secret.toString(form)));
      }
      assert.ok(!text.join("\n").includes([...secret].slice(0, 4).join(",")));
    }
    assert.match(router.dump(), /; the short way: \d+ bytes sent/);
    logs.stop();
  });

  // `other` is context 1.
  const forgeries: [title: string, change: Partial<Frame>, reason: RegExp][] = [
    ["in the name of another context", { srcId: 1 }, /it has sent the short way from 1/],
    ["in the name of the program", { srcId: 0 }, /it has sent the short way from 0/],
    ["with the program's authority", { authId: 0 }, /authority 0/],
    ["for another context", { dstId: 1 }, /to 1:2000/],
    ["for the library", { handle: Handle.DEL_ROUTE }, /to 0:104/],
    ["a part of something", { encoding: Encoding.PART }, /to 0:2000/],
    ["too long", { body: [Buffer.alloc(20_000)] }, /exceeds maxMessageBytes/],
    ["no frame", {}, /bad magic/],
  ];
  for (const [title, change, reason] of sampleOf(6, forgeries)) {
    it(`ends the context if it is ${title}`, async () => {
      const logs = collectLogs("error");
      const context = await router.local();
      const { contextId } = context;
      const bytes =
        title === "no frame"
          ? Buffer.from("x".repeat(100))
          : bytesOf({ srcId: contextId, authId: contextId, ...change });
      const offer = await offerTo(context, true);
      const { socket, ended } = await impostor(offer);
      const waiting = context.call(remote.echoLater, 0, PATIENCE_MS);
      socket.write(bytes);
      await assert.rejects(waiting, reason);
      await ended;
      // The context ends although nobody asks for it.
      const hold = setInterval(() => undefined, PATIENCE_MS);
      await context.disconnected;
      clearInterval(hold);
      assert.equal(logs.records.length, 1);
      assert.match(logs.records[0]?.message ?? "", reason);
      logs.stop();
    });
  }

  it("is taken as the context's own, and no more are read while the context does not take the answers", async () => {
    const context = await router.local();
    const { contextId } = context;
    // Called before, because later calls go to the other end of its short way.
    const pid = await context.call(remote.pid);
    const heard = new Promise((resolve) => {
      router.addHandler((message) => resolve([message.srcId, message.authId, message.decode()]), {
        handle: 2000,
      });
    });
    const { socket } = await impostor(await offerTo(context, true));
    socket.write(bytesOf({ srcId: contextId, authId: contextId, body: encodeValue("it") }));
    assert.deepEqual(await heard, [contextId, contextId, "it"]);
    process.kill(pid, "SIGSTOP");
    // The reply to each is a dead message, which nobody reads.
    const asking = bytesOf({
      srcId: contextId,
      authId: contextId,
      handle: 999_999,
      replyTo: Handle.FIRST_REPLY,
    });
    const many = Buffer.concat(Array.from({ length: 1000 }, () => asking));
    let rounds = 0;
    while (
      socket.write(many) ||
      (await Promise.race([once(socket, "drain"), pause(2000, "full")])) !== "full"
    ) {
      rounds += 1;
      assert.ok(rounds < 5000, "it is read on and on");
    }
    const { queuedBytes = 0 } = context.describe().link ?? {};
    assert.ok(queuedBytes < 16 * 1024 * 1024, `${queuedBytes} bytes wait for it`);
    process.kill(pid, "SIGCONT");
    await once(socket, "drain");
  });

  it("of a sibling cannot confuse the order of a context's calls", async () => {
    await useShortWay(victim);
    await sibling.call(sendFence, victim.contextId);
    for (let calls = 0; calls < 100; calls++)
      assert.equal(await victim.call(remote.add, calls, 1), calls + 1);
  });

  it("must come from the library: bytes that a context writes past it end the context", async () => {
    await useShortWay(victim);
    const waiting = victim.call(remote.echoLater, 0, PATIENCE_MS);
    victim.callNoReply(order.writeToShortWay, bytesOf({ srcId: 0, authId: 0 }));
    await assert.rejects(waiting, /it has sent the short way from 0, authority 0, to 0:2000/);
  });
});

describe("a short way is offered", () => {
  it("not with MITOGEN_SHORT_WAY=off", async () => {
    process.env["MITOGEN_SHORT_WAY"] = "off";
    try {
      await using router = new Router();
      const context = await router.local();
      for (let calls = 0; calls < 100; calls++) await context.call(remote.add, 1, 2);
      assert.equal(hasShortWay(context), false);
    } finally {
      delete process.env["MITOGEN_SHORT_WAY"];
    }
  });

  it("not to a context that is called a few times", async () => {
    await using router = new Router();
    const context = await router.local();
    const before = context.describe().link?.messagesSent ?? 0;
    for (let calls = 0; calls < 15; calls++) await context.call(process.cwd);
    assert.equal((context.describe().link?.messagesSent ?? 0) - before, 15);
  });

  it("not to threads, nor to contexts behind another kind of context", async () => {
    await using router = new Router();
    const thread = await router.thread();
    const command = await router.exec({ command: ["env"] });
    const behind = await router.local({ via: command });
    for (const context of [thread, command, behind]) {
      for (let calls = 0; calls < 100; calls++) await context.call(remote.add, 1, 2);
      assert.equal(hasShortWay(context), false);
    }
  });

  it("not over ssh, nor to another user", { skip: skipReason() }, async () => {
    await using router = new Router();
    const sudo = labMethods["sudo"] as (router: Router) => Promise<Context>;
    for (const start of [() => router.ssh(sshTo("mitogen-dash")), () => sudo(router)]) {
      const context = await start();
      const behind = await router.local({ via: context });
      for (const each of [context, behind]) {
        for (let calls = 0; calls < 100; calls++) await each.call(remote.add, 1, 2);
        assert.equal(hasShortWay(each), false);
      }
    }
  });
});
