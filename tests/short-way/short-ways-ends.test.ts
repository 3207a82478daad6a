/** How contexts with a short way end, and what happens to frames on it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { FunctionRef } from "../../src/functions/callable.ts";
import { ChannelError, Router } from "../../src/index.ts";
import { SHORT_WAY } from "../../src/loader/builtins.ts";
import * as daemon from "../fixtures/remote/daemon.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as order from "../fixtures/remote/order.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { isFull, takesLong } from "../support/extent.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { impostor, nest, offerTo, useShortWay } from "../support/short-way.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
after(() => rmSync(folder, { recursive: true }));

/** How long a busy machine may take. */
const PATIENCE_MS = 20_000;
/** After this time, the loss of a short way would have ended the context. */
const LOST_MS = 6000;
/** More calls than a socket holds. */
const WAITING_CALLS = isFull ? 20_000 : 400;
const WAITING_BYTES = isFull ? 1000 : 10_000;
const EXIT_ROUNDS = isFull ? 4 : 1;

async function failure(call: Promise<unknown>): Promise<Error> {
  return await call.then(
    () => assert.fail("it was answered"),
    (error) => error as Error,
  );
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, `${what} did not happen`);
    await pause(10);
  }
}

for (const depth of [1, 3]) {
  describe(`a context ${depth} deep`, { skip: depth === 3 && takesLong }, () => {
    it("that hangs has answered earlier calls, answers pings, and can be shut down", async () => {
      await using router = new Router();
      const context = await nest(router, depth);
      await useShortWay(context);
      const before = [context.call(order.note, 1), context.call(order.note, 2)];
      const hung = failure(context.call(remote.hang));
      assert.deepEqual(await Promise.all(before), [1, 2]);
      const { bytesSent } = context.describe().link?.shortWay ?? assert.fail();
      const waiting = Array.from({ length: WAITING_CALLS }, () =>
        failure(context.call(order.note, 3, new Uint8Array(WAITING_BYTES))),
      );
      assert.ok((await context.ping({ timeoutMs: PATIENCE_MS })) >= 0);
      const filled = (context.describe().link?.shortWay?.bytesSent ?? 0) - bytesSent;
      assert.ok(filled < 2 * 1024 * 1024, `${filled} bytes are in a socket`);
      await context.shutdown();
      for (const error of await Promise.all([hung, ...waiting])) assert.match(error.message, /was shut down/);
    });

    it("that calls process.exit() has answered all calls that have run", async () => {
      for (let round = 0; round < EXIT_ROUNDS; round++) {
        await using router = new Router();
        const context = await nest(router, depth);
        await useShortWay(context);
        await context.call(order.noted);
        const path = join(folder, `${depth}-${round}`);
        let answered = 0;
        const calls = Array.from({ length: 3000 }, async (_, at) => {
          if (at === 1000) context.callNoReply(order.exitSoon, path);
          await context.call(order.note, at).then(
            () => (answered += 1),
            (error) => assert.match(error.message, /exited with code 7/),
          );
        });
        await Promise.all(calls);
        // The file appears just before the process ends.
        await until(() => existsSync(path) && readFileSync(path, "utf8") !== "", "the end of the process");
        assert.equal(answered, Number(readFileSync(path, "utf8")));
        assert.ok(answered >= 1000);
      }
    });

    it("that ends while the program is busy has answered all calls that have run", async () => {
      await using router = new Router();
      const context = await nest(router, depth);
      await useShortWay(context);
      await context.call(order.noted);
      const path = join(folder, `busy-${depth}`);
      // The first answer comes by the long way, the others later by the short way.
      const calls = [
        context.call(order.noteAndPrint, 1),
        context.call(order.hold, 200).then(() => 2),
        context.call(order.note, 3),
      ];
      context.callNoReply(order.exitSoon, path);
      await turn();
      // Everything comes at once, even the end of the context.
      order.hold(700);
      assert.ok(existsSync(path));
      assert.deepEqual(await Promise.all(calls), [1, 2, 3]);
    });

    it("whose short way is lost is gone, and waiting calls fail", async () => {
      await using router = new Router();
      const logs = collectLogs("error");
      const context = await nest(router, depth);
      const pid = await context.call(remote.pid);
      const { socket } = await impostor(await offerTo(context, true));
      const waiting = failure(context.call(remote.echoLater, 0, PATIENCE_MS));
      socket.destroy();
      const error = await waiting;
      assert.ok(error instanceof ChannelError);
      assert.equal(error.message, `${context.name}: it has lost its short way`);
      // The context ends although nobody asks for it.
      const hold = setInterval(() => undefined, PATIENCE_MS);
      await context.disconnected;
      clearInterval(hold);
      assert.deepEqual(await processesGone([pid], PATIENCE_MS), []);
      assert.deepEqual(
        logs.records.map(({ message }) => message),
        [error.message],
      );
      logs.stop();
    });

    it("that is killed is gone at once, for the reason that a context without a short way has", async () => {
      await using router = new Router();
      const context = await nest(router, depth);
      await useShortWay(context);
      const error = await failure(context.call(remote.killYourself));
      assert.match(
        error.message,
        /disconnected, the process exited with code 137 \(signal 9\)|was killed by SIGKILL/,
      );
    });
  });
}

describe("a context that is detached", { concurrency: true }, () => {
  async function livesOn(heart: string): Promise<void> {
    await until(() => existsSync(heart) && readFileSync(heart, "utf8").includes("beat"), "a sign of life");
    await pause(LOST_MS);
    const { length } = readFileSync(heart);
    await until(() => readFileSync(heart).length > length, "a later sign of life");
  }

  it("loses its short way and lives on", { skip: takesLong }, async () => {
    const detach = async (depth: number): Promise<void> => {
      await using router = new Router();
      const context = await nest(router, depth);
      await useShortWay(context);
      const heart = join(folder, `heart-${depth}`);
      const pid = await context.call(remote.pid);
      try {
        const error = await failure(context.call(daemon.detachAndBeat, heart));
        assert.match(error.message, /was detached/);
        await livesOn(heart);
      } finally {
        process.kill(pid, "SIGTERM");
      }
      assert.deepEqual(await processesGone([pid], PATIENCE_MS), []);
    };
    await Promise.all([1, 2].map(detach));
  });

  it("lives on, and keeps a context below it that has a short way", async () => {
    await using router = new Router();
    const parent = await router.local();
    const child = await router.local({ via: parent });
    await useShortWay(parent);
    await useShortWay(child);
    const pids = [await parent.call(remote.pid), await child.call(remote.pid)];
    const heart = join(folder, "heart-parent");
    try {
      await failure(parent.call(daemon.detachAndBeat, heart));
      await child.disconnected;
      await livesOn(heart);
      for (const pid of pids) process.kill(pid, 0);
    } finally {
      process.kill(pids[0] as number, "SIGTERM");
    }
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
  });
});

describe("a context that is told to connect", { concurrency: true }, () => {
  const open = new FunctionRef<[string, Uint8Array, Uint8Array], void>(SHORT_WAY, ["open"]);
  const hello = Buffer.from("hello");
  const proof = Buffer.from("proof");

  /** Listens like a program, and treats the connection as `greet` says. Returns the path. */
  async function serve(t: TestContext, greet: (socket: Socket) => void): Promise<string> {
    const path = join(folder, `s${Math.random()}`);
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => greet(socket));
    }).listen(path);
    await once(server, "listening");
    t.after(() => server.close());
    return path;
  }

  it("stays as it is if it cannot connect, or if the listener is not the program", async (t) => {
    const greetings: ((socket: Socket) => void)[] = [
      (socket) => socket.destroy(),
      (socket) => socket.end("short"),
      (socket) => socket.end("PROOF"),
      (socket) => socket.end(`PROOF${"junk".repeat(100)}`),
    ];
    await using router = new Router();
    const context = await router.local();
    await context.call(open, join(folder, "nowhere"), hello, proof);
    for (const greet of greetings) await context.call(open, await serve(t, greet), hello, proof);
    await pause(LOST_MS);
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });

  it("ends itself when it has lost the connection, although the program does nothing", async (t) => {
    await using router = new Router();
    const context = await router.local();
    const waiting = failure(context.call(remote.echoLater, 0, PATIENCE_MS));
    await context.call(open, await serve(t, (socket) => socket.end(proof)), hello, proof);
    assert.equal((await waiting).message, `${context.name}: it has lost its short way`);
  });
});
