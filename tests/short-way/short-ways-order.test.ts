import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { type Context, Receiver, Router, ref } from "../../src/index.ts";
import * as calls from "../fixtures/remote/calls.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as order from "../fixtures/remote/order.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { isFull, isQuick, takesLong } from "../support/extent.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { Random } from "../support/random.ts";
import { nest, useShortWay } from "../support/short-way.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-test-"));
after(() => rmSync(folder, { recursive: true }));

const ROUNDS = isFull ? 1000 : isQuick ? 150 : 400;
const FEWER_ROUNDS = isQuick ? 10 : 50;
const LARGE = new Uint8Array(200 * 1024);
const MODULES = 20;

/** A module that has not been sent. */
function freshModule(name: string): typeof order.note {
  const path = join(folder, `${name}.mjs`);
  writeFileSync(path, "export const note = (at) => (globalThis.came.push(at), at);\n");
  return ref<typeof order.note>(pathToFileURL(path), "note") as never;
}

describe("a module that is asked for while the main thread waits for it", () => {
  for (const depth of [1, 3]) {
    it(`comes to a context ${depth} deep that is called by its short way, and imports mitogen`, {
      skip: depth === 3 && takesLong,
      timeout: 60_000,
    }, async () => {
      await using router = new Router();
      const context = await nest(router, depth);
      await context.call(withMitogen.isMainHere);
      const asking = join(folder, `asking-${depth}.cjs`);
      writeFileSync(asking, "exports.ask = (name) => require(name);\n");
      const ask = ref<(name: string) => string>(pathToFileURL(asking), "ask");
      for (const name of ["first", "second"]) {
        await useShortWay(context);
        const asked = join(folder, `${name}-${depth}.cjs`);
        writeFileSync(asked, `module.exports = "${name}";\n`);
        router.modules.allow(pathToFileURL(asked).href);
        // From the second call on, the context has the function, so the call itself takes the short way.
        const calls = [
          context.call(remote.add, 1, 1),
          context.call(ask, asked),
          context.call(remote.add, 2, 1),
        ];
        assert.deepEqual(await Promise.all(calls), [2, name, 3]);
      }
    });
  }
});

for (const depth of [1, 3]) {
  describe(`one order over two ways, to a context ${depth} deep:`, { skip: depth === 1 && takesLong }, () => {
    let router: Router;
    let context: Context;
    let logs: ReturnType<typeof collectLogs>;
    before(async () => {
      router = new Router();
      // A context that is connected already hears later which logs are collected.
      logs = collectLogs();
      context = await nest(router, depth);
      await useShortWay(context);
    });
    after(async () => {
      logs.stop();
      await router.shutdown();
    });
    it("calls of any size, with the modules that they need", async () => {
      await context.call(order.noted);
      const random = new Random(depth);
      await using chain = context.chain();
      const answers: Promise<unknown>[] = [];
      const answered: number[] = [];
      let at = 0;
      const wait = (call: Promise<number | readonly [number, Uint8Array]>): void => {
        answers.push(call.then((answer) => answered.push(typeof answer === "number" ? answer : answer[0])));
      };
      for (let round = 0; round < ROUNDS; round++) {
        for (let left = random.below(6); left > 0; left--) {
          const kind = random.below(100);
          if (kind < 70) wait(context.call(order.note, at));
          else if (kind < 78) context.callNoReply(order.note, at);
          else if (kind < 86) wait(chain.call(order.note, at));
          else if (kind < 90) wait(context.call(order.note, at, LARGE));
          else if (kind < 94) wait(context.call(order.noteAndAnswer, at, 200 * 1024));
          else if (kind < 98) wait(context.call(order.noteAndPrint, at));
          else if (at < MODULES * 50) wait(context.call(freshModule(`${depth}-${at}`), at));
          else wait(context.call(order.note, at));
          at += 1;
        }
        if (random.chance(3)) await answers.at(-1);
      }
      await Promise.all(answers);
      const all = Array.from({ length: at }, (_, index) => index);
      assert.deepEqual(await context.call(order.noted), all);
      assert.deepEqual(
        answered,
        [...answered].sort((a, b) => a - b),
        "answers came in the order of calls",
      );
      assert.ok((context.describe().link?.shortWay?.bytesSent ?? 0) > 10_000);
    });

    it("output and messages of a function come ahead of its answer", async () => {
      const came: string[] = [];
      const handle = router.addHandler(
        (message) => void (message.isDead || came.push(`value ${message.decode()}`)),
      );
      const sender = router.sender(0, handle);
      const random = new Random(depth);
      for (let at = 0; at < ROUNDS / 2; at++) {
        if (random.chance(2)) {
          await context.call(order.noteAndPrint, at);
          assert.equal(logs.lines("stdout").at(-1), `line ${at}`);
        } else {
          const count = random.below(4);
          came.length = 0;
          await context.call(withMitogen.sendNumbers, sender, count);
          assert.deepEqual(
            came,
            Array.from({ length: count }, (_, index) => `value ${index}`),
          );
        }
      }
    });

    it("calls that wait for a thread that waits for a module", async () => {
      await context.call(order.noted);
      const answers: Promise<unknown>[] = [];
      let at = 0;
      for (let round = 0; round < 20; round++) {
        const path = join(folder, `late-${depth}-${round}.cjs`);
        writeFileSync(path, "globalThis.came.push(-1);\n");
        router.modules.allow(pathToFileURL(path).href);
        answers.push(context.call(order.requireLate, at++, path));
        for (let next = 0; next < 5; next++)
          answers.push(context.call(order.note, at++, next === 2 ? LARGE : 0));
        if (round % 3 === 0) await answers.at(-1);
      }
      await Promise.all(answers);
      const came = await context.call(order.noted);
      assert.equal(came.filter((each) => each === -1).length, 20);
      assert.deepEqual(
        came.filter((each) => each >= 0),
        Array.from({ length: at }, (_, index) => index),
      );
    });
  });
}

describe("one order over two ways:", () => {
  let router: Router;
  let hop: Context;
  before(async () => {
    router = new Router();
    hop = await router.local();
    await useShortWay(hop);
  });
  after(() => router.shutdown());

  it("a context has a message of another context when it is called after that", async () => {
    const [left, right] = [await router.local({ via: hop }), await router.local({ via: hop })];
    for (const context of [left, right]) await useShortWay(context);
    const pid = await right.call(remote.pid);
    for (let round = 0; round < 10; round++) {
      const sender = await right.call(withMitogen.openReceiver);
      await right.call(remote.add, 1, 2);
      // All frames for it wait in its sockets, and the context decides which it takes first.
      process.kill(pid, "SIGSTOP");
      await left.call(withMitogen.sendNumbers, sender, 3);
      const found = right.call(withMitogen.readNow);
      await left.call(remote.add, 1, 2);
      process.kill(pid, "SIGCONT");
      assert.equal(await found, 4, "three numbers and the end");
    }
  });

  it("a call hears that its caller has given it up", async () => {
    const context = hop;
    const random = new Random(3);
    for (let round = 0; round < FEWER_ROUNDS; round++) {
      const receiver = new Receiver<unknown>(router);
      const controller = new AbortController();
      const call = context.with({ signal: controller.signal }).call(calls.watch, receiver.toSender());
      await receiver.get();
      if (random.chance(2)) context.callNoReply(order.note, 0, LARGE);
      controller.abort(new Error("enough"));
      await assert.rejects(call, /enough/);
      const last = context.call(order.noted);
      const told = (await receiver.get()).decode() as unknown[];
      assert.equal(told[2], "enough");
      await last;
      receiver.close();
    }
  });

  for (const [major, node] of Object.entries(nodes)) {
    it(`with node ${major} on the target`, { skip: skipReason() }, async () => {
      await using router = new Router();
      const context = await nest(router, 2, { nodePath: node });
      await useShortWay(context);
      await context.call(order.noted);
      const calls = Array.from({ length: 500 }, (_, at) =>
        context.call(order.note, at, at % 50 === 0 ? LARGE : 0),
      );
      await Promise.all(calls);
      assert.deepEqual(
        await context.call(order.noted),
        Array.from({ length: 500 }, (_, at) => at),
      );
      assert.ok((context.describe().link?.shortWay?.bytesReceived ?? 0) > 0);
      assert.equal(await context.call(remote.add, 1, 2), 3);
    });
  }
});
