import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Context, Receiver, Router, TimeoutError } from "../../src/index.ts";
import * as calls from "../fixtures/remote/calls.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { count } from "../fixtures/remote/streams.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { placesOn } from "../support/places.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const patience = { timeoutMs: 20_000 };

const places = placesOn([12, 16, 20, 26]);

for (const [place, connect] of places) {
  describe(`giving up calls to ${place}`, { skip: skipReason(), concurrency: false }, () => {
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      context = await connect(router);
    });
    after(() => router.shutdown());

    /** Begins a call of `watch` and waits until it runs there. */
    async function begin(start: (said: Receiver<unknown>) => void): Promise<Receiver<unknown>> {
      const said = new Receiver<unknown>(router);
      start(said);
      assert.equal((await said.get(patience)).decode(), 0);
      return said;
    }

    it("with one signal for hundreds of calls and streams prints no warning", async () => {
      const warnings: Error[] = [];
      const note = (warning: Error) => warnings.push(warning);
      process.on("warning", note);
      const { signal } = new AbortController();
      const bound = context.with({ signal });
      await Promise.all(Array.from({ length: 300 }, () => bound.call(remote.add, 1, 1)));
      const receivers = Array.from({ length: 20 }, () => bound.callAsync(remote.add, 1, 1));
      await Promise.all(receivers.map((each) => each.get({ signal })));
      const streams = Array.from({ length: 20 }, () => bound.stream(count, 1));
      await Promise.all(streams.map((each) => each.next()));
      await Promise.all(streams.map((each) => each.next()));
      await new Promise((resolve) => setImmediate(resolve));
      process.off("warning", note);
      assert.deepEqual(warnings, []);
    });

    it("by a signal aborts the signal of the call, with the reason's name and message", async () => {
      const abort = new AbortController();
      let call: Promise<string> | undefined;
      const said = await begin((to) => {
        call = context.with({ signal: abort.signal }).call(calls.watch, to.toSender());
      });
      const other = new Receiver<unknown>(router);
      const untouched = context.callAsync(calls.watch, other.toSender());
      assert.equal((await other.get(patience)).decode(), 0);
      abort.abort(new RangeError("enough"));
      await assert.rejects(call as Promise<string>, RangeError);
      assert.deepEqual((await said.get(patience)).decode(), [true, "RangeError", "enough", undefined]);
      assert.equal(untouched.size() + other.size(), 0);
    });
    it("by a timeout aborts the signal of a callAsync", async () => {
      let receiver: Receiver<string> | undefined;
      const said = await begin((to) => {
        receiver = context.with({ timeoutMs: 3000 }).callAsync(calls.watch, to.toSender());
      });
      await assert.rejects((receiver as Receiver<string>).get(patience), TimeoutError);
      const [aborted, name, message, code] = (await said.get(patience)).decode() as unknown[];
      assert.deepEqual([aborted, name, code], [true, "TimeoutError", "ERR_TIMEOUT"]);
      assert.match(String(message), /no answer within 3000 ms/);
    });
    it("by a signal aborts the signal of a callNoReply, also of a chain's", async () => {
      const abort = new AbortController();
      const bounds = { signal: abort.signal };
      const first = await begin((to) => context.with(bounds).callNoReply(calls.watch, to.toSender()));
      await using chain = context.chain();
      const second = await begin((to) => chain.with(bounds).callNoReply(calls.watch, to.toSender()));
      const behind = assert.rejects(chain.call(remote.add, 1, 1), /enough/);
      abort.abort(new Error("enough"));
      for (const said of [first, second]) {
        assert.deepEqual((await said.get(patience)).decode(), [true, "Error", "enough", undefined]);
      }
      await behind;
    });
  });
}

describe("a call given up", { skip: skipReason() }, () => {
  it("whose function takes no signal is dropped without a warning, and the context lives on", async () => {
    const logs = collectLogs();
    try {
      await using router = new Router();
      const context = await router.local();
      await assert.rejects(context.with({ timeoutMs: 50 }).call(remote.echoLater, 1, 300), TimeoutError);
      await context.call(remote.echoLater, 1, 400);
      assert.deepEqual(
        logs.records.filter(({ level }) => level === "warning" || level === "error"),
        [],
      );
    } finally {
      logs.stop();
    }
  });
  it("by a context in the middle of the tree ends in the context below", async () => {
    await using router = new Router();
    const upper = await router.local();
    const lower = await router.local({ via: upper });
    const said = new Receiver<unknown>(router);
    assert.equal(await upper.call(calls.giveUpElsewhere, lower, said.toSender()), "TimeoutError");
    assert.equal((await said.get(patience)).decode(), upper.contextId);
    assert.deepEqual(((await said.get(patience)).decode() as unknown[]).slice(0, 2), [true, "TimeoutError"]);
  });
});
