import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Context, type KeepOptions, type KeptContext, Router, StreamError } from "../../src/index.ts";
import { add } from "../fixtures/remote/functions.ts";
import { dieOnce, never, pid } from "../fixtures/remote/kept.ts";
import { count } from "../fixtures/remote/streams.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

describe("Router.keep", () => {
  let router: Router;
  before(() => {
    router = new Router();
  });
  after(() => router.shutdown());

  /** A kept context whose first `failures` connects fail. */
  function keeping(options: KeepOptions = {}, failures = 0) {
    const state = { connects: 0, failures };
    const kept = router.keep(
      async () => {
        state.connects++;
        if (state.failures > 0) {
          state.failures--;
          throw new StreamError("no route");
        }
        return await router.local();
      },
      { backoffMs: 0, ...options },
    );
    return { kept, state };
  }

  const lost = (kept: KeptContext) => new Promise<string>((resolve) => kept.onDisconnect(resolve));
  const connected = (kept: KeptContext) => new Promise<Context>((resolve) => kept.onConnect(resolve));

  it("connects when it is first used, once for all callers", async () => {
    const { kept, state } = keeping();
    assert.deepEqual([kept.isConnected, kept.context, state.connects], [false, undefined, 0]);
    const [one, two] = await Promise.all([kept.call(add, 1, 2), kept.call(pid)]);
    assert.deepEqual([one, state.connects, kept.isConnected], [3, 1, true]);
    assert.equal(await kept.call(pid), two);
    assert.equal(await kept.ready(), kept.context);
    await kept.shutdown();
    assert.equal(kept.isConnected, false);
  });

  it("connects again when the context is lost, and lets calls and streams wait for it", async () => {
    const { kept, state } = keeping();
    const first = await kept.call(pid);
    const reason = lost(kept);
    const next = connected(kept);
    await kept.context?.shutdown();
    assert.match(await reason, /was shut down/);
    state.failures = 2;
    const values: number[] = [];
    const streaming = (async () => {
      for await (const value of kept.stream(count, 2)) values.push(value);
    })();
    assert.notEqual(await kept.call(pid), first);
    await streaming;
    assert.deepEqual([values, await next], [[0, 1], kept.context]);
    await kept.shutdown();
  });

  it("gives up after the given retries with the last error, and begins anew with the next call", async () => {
    const { kept, state } = keeping({ retries: 2 }, 4);
    await assert.rejects(kept.call(pid), { name: "StreamError", message: "no route" });
    assert.equal(state.connects, 3);
    assert.equal(await kept.call(add, 1, 1), 2);
    assert.equal(state.connects, 5);
    await kept.shutdown();
  });

  it("does not retry after a failure that another try cannot mend", async () => {
    for (const code of ["ERR_PASSWORD", "ERR_HOST_KEY", "ERR_CANCELLED", "ERR_INVALID_ARG_VALUE"]) {
      let connects = 0;
      const kept = router.keep(async () => {
        connects++;
        throw Object.assign(new Error("no"), { code });
      });
      await assert.rejects(kept.call(pid), { code });
      assert.equal(connects, 1, code);
    }
  });

  it("pauses twice as long before each try, up to a limit", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { kept, state } = keeping({ backoffMs: 100, maxBackoffMs: 250, retries: 4 }, 9);
    const call = kept.call(pid);
    call.catch(() => undefined);
    const turns = async () => {
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    const connects: number[] = [];
    for (const ms of [100, 200, 250, 250]) {
      await turns();
      t.mock.timers.tick(ms - 1);
      await turns();
      connects.push(state.connects);
      t.mock.timers.tick(1);
    }
    await assert.rejects(call, /no route/);
    assert.deepEqual([connects, state.connects], [[1, 2, 3, 4], 5]);
  });

  it('fails calls at once while there is no connection, if whileDown is "fail"', async () => {
    const { kept } = keeping({ whileDown: "fail" });
    const next = connected(kept);
    await assert.rejects(kept.call(pid), {
      name: "ChannelError",
      message:
        /^Cannot call: the kept context is not connected, and whileDown is "fail": it has not been connected yet$/,
    });
    await next;
    assert.equal(await kept.call(add, 1, 1), 2);
    await kept.shutdown();
  });

  it("fails a call under way with its context, or makes the call again if repeat is true", async () => {
    const { kept } = keeping();
    await kept.ready();
    const call = kept.call(never);
    const failed = assert.rejects(call, { name: "ChannelError" });
    await kept.context?.shutdown();
    await failed;
    const lostLater = keeping().kept;
    const next = connected(lostLater);
    const early = lostLater.call(never);
    const failedEarly = assert.rejects(early, { name: "ChannelError" });
    await (await next).shutdown();
    await failedEarly;
    await lostLater.shutdown();
    const first = await kept.call(pid);
    const again = await kept.with({ repeat: true }).call(dieOnce, first);
    assert.notEqual(again, first);
    await kept.shutdown();
  });

  it("bounds the wait for a connection by the call's timeout and signal", async () => {
    const kept = router.keep(() => new Promise<Context>(() => undefined));
    await assert.rejects(kept.with({ timeoutMs: 10 }).call(pid), {
      name: "TimeoutError",
      // What is left of the 10 ms: a busy machine has used some.
      message:
        /^Cannot reach the kept context \(it has not been connected yet\): no answer within (?:\d|10) ms$/,
    });
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(kept.with({ signal }).call(pid), /enough/);
    await kept.shutdown();
  });

  it("refuses functions that cannot be called, and invalid options, before it connects", async () => {
    const { kept, state } = keeping();
    const captured = 1;
    await assert.rejects(
      kept.call(() => captured),
      { name: "TypeError", message: /closure/ },
    );
    assert.equal(state.connects, 0);
    assert.throws(() => router.keep(1 as never), { code: "ERR_INVALID_ARG_TYPE" });
    assert.throws(() => keeping({ retries: -1 }), { code: "ERR_OUT_OF_RANGE" });
    assert.throws(() => keeping({ whileDown: "hang" as never }), { code: "ERR_INVALID_ARG_VALUE" });
    const wrong = router.keep(async () => "context" as never);
    await assert.rejects(wrong.call(pid), {
      message: /what the function returned must be a Context, got "context"/,
    });
  });

  it("does not connect after its shutdown, and ends a context that connects meanwhile", async () => {
    const { kept } = keeping();
    await kept.ready();
    await kept.shutdown();
    await assert.rejects(kept.call(pid), { name: "ChannelError", message: "The kept context was shut down" });

    let finish!: (context: Context) => void;
    const late = router.keep(() => new Promise<Context>((resolve) => (finish = resolve)));
    const call = late.call(pid);
    await late.shutdown();
    const context = await router.local();
    finish(context);
    await assert.rejects(call, /was shut down/);
    await context.disconnected;

    const pausing = keeping({ backoffMs: 1e9, maxBackoffMs: 1e9 }, 9).kept;
    const waiting = pausing.call(pid);
    waiting.catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    await pausing.shutdown();
    await assert.rejects(waiting, /was shut down/);
  });

  it("fails waiting and later calls when its router ends", async () => {
    const other = new Router();
    const failing = async () => {
      throw new StreamError("no route");
    };
    const kept = other.keep(failing, { backoffMs: 1e9, maxBackoffMs: 1e9 });
    const stuck = other.keep(() => new Promise<Context>(() => undefined));
    let connects = 0;
    const working = other.keep(() => {
      connects++;
      return other.local();
    });
    await working.ready();
    const waiting = [kept.call(pid), kept.ready(), kept.stream(count, 1).next(), stuck.call(pid)];
    const ended = Promise.allSettled(waiting);
    await new Promise((resolve) => setImmediate(resolve));
    await other.shutdown();
    const message = "Cannot connect the kept context: the router was shut down";
    for (const each of await ended) {
      assert.equal(each.status, "rejected");
      assert.deepEqual([each.reason.name, each.reason.message], ["ChannelError", message]);
    }
    await assert.rejects(kept.call(pid), { name: "ChannelError", message: "The kept context was shut down" });
    assert.equal(connects, 1, "the loss of a context that its router has ended is no reason to connect");
    await assert.rejects(other.keep(failing).ready(), { name: "ChannelError", message });
  });
});
