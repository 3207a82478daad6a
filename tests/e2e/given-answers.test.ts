/** Answers, messages and output arrive even if their process hangs or ends right after. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ChannelError, type Context, Receiver, Router, ref } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as hangs from "../fixtures/remote/hangs.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { isFull, sampleOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** The grace of a shutdown, plus the time that a busy machine needs. */
const SHUTDOWN_MS = 5_000 + 5_000;
/** Sizes take different ways: small ones are written by the main thread, these by the broker thread and in parts. */
const MEDIUM = Buffer.alloc(20 * 1024, "medium");
const LARGE = Buffer.alloc(200 * 1024, "large");
const HANGING_MODULE = new URL("../fixtures/remote/hangs-at-load.js", import.meta.url);
const ROUNDS = isFull ? 20 : 5;
/** With a time limit, because an answer that is held back never comes. */
const itEnds = (title: string, fn: () => Promise<void>) => it(title, { timeout: 60_000 }, fn);
const HANGS = ["endless loop", "subprocess", "Atomics.wait"] as const;

const targets: [string, string | undefined][] = [["this Node", undefined]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"]]);

for (const [version, nodePath] of targets) {
  describe(`in a context on ${version}`, () => {
    let router: Router;
    let logs: ReturnType<typeof collectLogs>;
    before(() => {
      logs = collectLogs("info");
      router = new Router();
    });
    after(async () => {
      await router.shutdown();
      logs.stop();
    });

    /** A context that already has all modules, so that calls leave and arrive together. */
    async function connect(): Promise<Context> {
      const context = await router.local({ nodePath });
      await Promise.all([context.call(remote.add, 1, 1), context.call(hangs.addAtOnce, 1, 1)]);
      return context;
    }

    /** Starts calls that are answered at once, with answers of every size. */
    function answered(context: Context): { calls: Promise<unknown>[]; values: unknown[]; order: number[] } {
      const order: number[] = [];
      const values = [3, LARGE, 4, MEDIUM, 5, LARGE, 6];
      const calls: Promise<unknown>[] = values.map((value) =>
        typeof value === "number" ? context.call(remote.add, value - 1, 1) : context.call(remote.echo, value),
      );
      for (const [index, call] of calls.entries()) void call.then(() => order.push(index));
      return { calls, values, order };
    }

    /** Shuts down a context that hangs. */
    async function end(context: Context, hung: Promise<unknown>): Promise<void> {
      const pid = context.describe().connection?.pid as number;
      const failed = assert.rejects(hung, ChannelError);
      const started = performance.now();
      await context.shutdown();
      const ms = performance.now() - started;
      assert.ok(ms < SHUTDOWN_MS, `shutdown took ${ms} ms`);
      await failed;
      assert.deepEqual(await processesGone([pid], SHUTDOWN_MS), []);
    }

    for (const how of sampleOf(3, HANGS)) {
      itEnds(
        `answers, output and messages arrive while the function that was called last hangs (${how})`,
        async () => {
          const context = await connect();
          const { calls, values } = answered(context);
          const receiver = new Receiver<string>(router);
          const printing = context.call(remote.print, "before");
          const hung = context.call(hangs.sayThen, receiver.toSender(), "said", how);
          assert.equal((await receiver.get()).decode(), "said");
          const lines = ["before", "said ahead of the message", "said behind the message"];
          assert.deepEqual(logs.lines("stdout", context.name).slice(0, 2), lines.slice(0, 2));
          await printing;
          assert.deepEqual(await Promise.all(calls), values);
          await logs.until(() => logs.lines("stdout", context.name).length >= lines.length);
          assert.deepEqual(logs.lines("stdout", context.name), lines);
          receiver.close();
          await end(context, hung);
        },
      );
    }

    for (const how of sampleOf(3, HANGS)) {
      itEnds(`answers arrive at once although the same turn then hangs (${how})`, async () => {
        const context = await connect();
        // All calls arrive in one message, so that only the first answer is written right away.
        const calls = [1, 2, 3, 4].map((value) => context.call(remote.add, value, 1));
        const hung = context.call(hangs.hang, how);
        assert.deepEqual(await Promise.all(calls), [2, 3, 4, 5]);
        await end(context, hung);
      });
    }

    for (const [fn, when] of sampleOf(4, [
      [hangs.answerThen, "reaction"],
      [hangs.answerThen, "nextTick"],
      [hangs.answerThen, "setImmediate"],
      [hangs.answerThen, "timer"],
      [hangs.answerLaterThen, "setImmediate"],
    ] as const)) {
      itEnds(
        `the answer of ${fn.name} and those before it arrive although code that it started hangs (${when})`,
        async () => {
          const context = await connect();
          const { calls, values } = answered(context);
          const last = context.call(fn, "endless loop", when);
          const behind = context.call(remote.echoLater, 1, 60_000);
          assert.deepEqual(await Promise.all(calls), values);
          assert.equal(await last, "answered");
          await end(context, behind);
        },
      );
    }

    itEnds("answers of finished asynchronous functions arrive while a later call hangs", async () => {
      const context = await connect();
      const calls = [1, 2, 3].map((value) => context.call(hangs.addAtOnce, value, 1));
      // The turn that answers this call ends with the answers of the others.
      await context.call(remote.add, 1, 1);
      const hung = context.call(hangs.hang, "endless loop");
      assert.deepEqual(await Promise.all(calls), [2, 3, 4]);
      await end(context, hung);
    });

    itEnds("answers arrive while the module of the next call hangs in its evaluation", async () => {
      const context = await connect();
      const { calls, values } = answered(context);
      const hung = context.call(ref<() => void>(HANGING_MODULE, "never"));
      assert.deepEqual(await Promise.all(calls), values);
      await end(context, hung);
    });

    itEnds("answers arrive in their order, even small ones after large ones", async () => {
      const context = await connect();
      for (let round = 0; round < ROUNDS; round++) {
        const { calls, values, order } = answered(context);
        assert.deepEqual(await Promise.all(calls), values);
        assert.deepEqual(
          order,
          values.map((_, index) => index),
        );
      }
      await context.shutdown();
    });

    for (const when of sampleOf(4, ["at once", "reaction", "nextTick", "setImmediate"] as const)) {
      itEnds(`answers arrive from a process that then exits (${when})`, async () => {
        const context = await connect();
        const { calls, values } = answered(context);
        const last = context.call(hangs.answerThen, "exit", when);
        const outcome = last.catch((error: Error) => error);
        assert.deepEqual(await Promise.all(calls), values);
        if (when === "at once") assert.match(String(await outcome), /ChannelError: .*code 7/);
        else assert.equal(await outcome, "answered");
        await context.shutdown();
      });
    }

    itEnds("output and messages arrive from a function that then exits or crashes its process", async () => {
      for (const how of ["exit", "exception"] as const) {
        const context = await connect();
        const receiver = new Receiver<string>(router);
        const { calls, values } = answered(context);
        const last = context.call(hangs.sayThen, receiver.toSender(), how, how);
        await assert.rejects(last, how === "exit" ? ChannelError : /nobody catches this/);
        assert.deepEqual(await Promise.all(calls), values);
        assert.equal((await receiver.get()).decode(), how);
        const lines = [`${how} ahead of the message`, `${how} behind the message`];
        assert.deepEqual(logs.lines("stdout", context.name), lines);
        receiver.close();
        await context.shutdown();
      }
    });

    itEnds(
      "when a process is killed, all its earlier answers arrive, and each later call fails",
      async () => {
        const context = await connect();
        const pid = context.describe().connection?.pid as number;
        const COUNT = isFull ? 2_000 : 500;
        const calls = Array.from({ length: COUNT }, (_, index) => context.call(remote.add, index, 1));
        const outcomes = Promise.allSettled(calls);
        const visible = COUNT / 10;
        await calls[visible];
        process.kill(pid, "SIGKILL");
        const settled = await outcomes;
        const answeredCount = settled.findIndex(({ status }) => status === "rejected");
        const all = answeredCount < 0 ? COUNT : answeredCount;
        assert.ok(all > visible);
        for (const [index, outcome] of settled.entries()) {
          if (outcome.status === "fulfilled")
            assert.deepEqual([index < all, outcome.value], [true, index + 1]);
          else assert.ok(outcome.reason instanceof ChannelError && /signal 9/.test(outcome.reason.message));
        }
        await context.shutdown();
      },
    );
  });
}
