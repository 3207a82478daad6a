import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CallError, ChannelError, type Context, Receiver, Router, ref, Select } from "../../src/index.ts";
import * as calls from "../fixtures/remote/calls.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { placesOn } from "../support/places.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const patience = { timeoutMs: 20_000 };
const node = (major: number) => ({ nodePath: nodes[major] ?? "" });

const places = placesOn([12, 20, 26], { thread: false });

for (const [place, connect] of places) {
  describe(`chains and Selects with ${place}`, { skip: skipReason(), concurrency: false }, () => {
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      context = await connect(router);
    });
    after(() => router.shutdown());

    it("a chain runs its calls one after the other, and after an error fails with it until it is reset", async () => {
      await using chain = context.chain();
      chain.callNoReply(calls.step, "a");
      chain.callNoReply(calls.step, "b");
      assert.deepEqual(await chain.call(calls.step, "c"), [
        ...["a begins", "a ends", "b begins", "b ends"],
        ...["c begins", "c ends"],
      ]);
      const failing = chain.callAsync(calls.fail, "no");
      chain.callNoReply(calls.step, "d");
      const error = await chain.call(calls.step, "e").catch((thrown) => thrown);
      assert.ok(error instanceof CallError);
      assert.equal(error.message, "Error: no");
      assert.match(error.stack ?? "", /calls\.[jt]s/);
      assert.doesNotMatch(error.stack ?? "", /mitogen:|async_hooks|AsyncLocalStorage/);
      const first = await failing.get(patience);
      assert.throws(() => first.decode(), { message: "Error: no" });
      // Other chains and plain calls are not affected (CHN-03).
      await using other = context.chain();
      assert.deepEqual((await other.call(calls.takeSteps)).slice(-1), ["c ends"]);
      assert.equal(await context.call(remote.add, 1, 1), 2);
      chain.reset();
      assert.deepEqual(await chain.call(calls.step, "f"), ["f begins", "f ends"]);
      await context.call(calls.takeSteps);
    });
    it("a chain does not log a failure of callNoReply: its next call fails with it", async () => {
      const logs = collectLogs();
      await using chain = context.chain();
      chain.callNoReply(remote.fail, "unseen");
      await assert.rejects(chain.call(remote.add, 1, 1), /unseen/);
      // A log record arrives before the answer of a later call.
      await context.call(remote.add, 1, 1);
      assert.deepEqual(
        logs.records.filter(({ level }) => level === "error"),
        [],
      );
      logs.stop();
    });
    it("a chain fails when a function cannot be found, and runs no later call", async () => {
      await using chain = context.chain();
      chain.callNoReply(ref(new URL("../fixtures/remote/calls.js", import.meta.url), "missing"));
      await assert.rejects(chain.call(calls.step, "never"), /missing .*not exported there/);
      assert.deepEqual(await context.call(calls.takeSteps), []);
    });
    it("a Select yields a reply after what was sent before it", async () => {
      const progress = new Receiver<number>(router);
      const reply = context.callAsync(calls.sendThenReturn, progress.toSender(), 50);
      const select = new Select<number | string>([progress, reply], {
        oneshot: false,
      });
      const seen: unknown[] = [];
      while (seen[seen.length - 1] !== "done") seen.push((await select.get(patience)).decode());
      assert.deepEqual(seen, [...Array.from({ length: 50 }, (_, index) => index), "done"]);
      select.close();
      progress.close();
    });
  });
}

describe("inside contexts", { skip: skipReason() }, () => {
  it("chains and selects work", async () => {
    await using router = new Router();
    const upper = await router.local(node(12));
    const lower = await router.local({ ...node(20), via: upper });
    assert.deepEqual(await upper.call(calls.chainElsewhere, lower), [
      ["a begins", "a ends", "b begins", "b ends"],
      "Error: no",
    ]);
    assert.deepEqual(await upper.call(calls.selectHere), [2, 1]);
  });
});

describe("Select over contexts", { skip: skipReason() }, () => {
  it("yields results as they arrive", async () => {
    await using router = new Router();
    const contexts = await Promise.all([1, 2, 3].map(() => router.local()));
    const receivers = contexts.map((context, index) => context.callAsync(remote.echoLater, index, 10));
    const values = await Select.all(receivers, patience);
    assert.deepEqual(values.sort(), [0, 1, 2]);
    const [context] = contexts as [Context];
    const failing = [context.callAsync(remote.fail, "no"), context.callAsync(remote.echoLater, 1, 60_000)];
    await assert.rejects(Select.all<unknown>(failing, patience), { name: "CallError" });
  });

  for (const [victim, index] of [
    ["a child", 0],
    ["a hop on the way", 0],
    ["a grandchild", 1],
  ] as const) {
    it(`rejects when ${victim} is killed, and goes on with the others`, async () => {
      await using router = new Router();
      const levels = [await router.local()];
      if (victim !== "a child") levels.push(await router.local({ via: levels[0] as Context }));
      const beside = await router.local();
      const pid = await (levels[index] as Context).call(remote.pid);
      const far = levels[levels.length - 1] as Context;
      const call = far.callAsync(remote.echoLater<string>, "never", 60_000);
      const silent = new Receiver<string>(router, { respondent: far });
      const select = new Select<string>([new Select([call]), silent]);
      const living = beside.callAsync(remote.echo<string>, "alive");
      const waits = [select.get(patience), select.get(patience)];
      const settled = Promise.allSettled(waits);
      const iterated = new Receiver<string>(router, { respondent: far });
      const iteration = (async () => {
        for await (const _ of new Select([iterated])) assert.fail("nothing comes");
      })();
      iteration.catch(() => undefined);
      const started = Date.now();
      process.kill(pid, "SIGKILL");
      for (const each of await settled) {
        assert.ok(each.status === "rejected" && each.reason instanceof ChannelError, String(each));
      }
      await assert.rejects(iteration, ChannelError);
      // It takes about 100 ms. One second is promised; a busy machine gets more.
      assert.ok(Date.now() - started < 3000, `${Date.now() - started} ms`);
      assert.equal(select.isEmpty, true);
      select.add(living);
      assert.equal((await select.get(patience)).decode(), "alive");
    });
  }
});
