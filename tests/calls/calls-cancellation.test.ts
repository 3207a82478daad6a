import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import { TimeoutError } from "../../src/errors.ts";
import { ref } from "../../src/functions/ref.ts";
import type { Peer } from "../../src/routing/peer.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import type { Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { dispatching, fakeChild } from "../support/fake-child.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { connect, FakeRouter } from "../support/fake-tree.ts";

// The fake child does the work of these functions.
const watch = async (): Promise<string> => "";
const add = (a: number, b: number): number => a + b;
const fail = (_message: string): void => undefined;

interface Watched {
  readonly signal: AbortSignal;
  readonly source: { contextId: number };
  readonly end: Deferred<string>;
}

function watching(options?: { hasLibrary?: boolean }) {
  const running: Watched[] = [];
  const child = fakeChild(
    {
      watch: async () => {
        const { signal, source } = (child.library["currentCall"] as never as () => Watched)();
        const end = new Deferred<string>();
        running.push({ signal, source, end });
        return await end.promise;
      },
      add: (a: number, b: number) => a + b,
      fail: (message: string) => {
        throw new Error(message);
      },
    },
    options,
  );
  return { ...child, running };
}

const cancels = (frames: readonly Frame[]) =>
  frames
    .filter(({ handle }) => handle === Handle.CANCEL_CALL)
    .map(({ body }) => decodeValue(Buffer.concat(body)));

test("Context.with({ signal }): aborting it aborts the signal of that call, with the reason, and no other", async () => {
  const { context, running } = watching();
  const abort = new AbortController();
  const call = context.with({ signal: abort.signal }).call(watch);
  const other = context.call(watch);
  abort.abort(new RangeError("enough"));
  await assert.rejects(call, RangeError);
  const [first, second] = running as [Watched, Watched];
  assert.equal(first.signal.aborted, true);
  assert.deepEqual([first.signal.reason.name, first.signal.reason.message], ["RangeError", "enough"]);
  assert.deepEqual([first.source.contextId, second.signal.aborted], [0, false]);
  second.end.resolve("done");
  assert.equal(await other, "done");
});

test("Context.with({ timeoutMs }): the reason is the TimeoutError", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { context, running } = watching();
  const call = context.with({ timeoutMs: 100 }).call(watch);
  t.mock.timers.tick(100);
  await assert.rejects(call, TimeoutError);
  const { reason } = (running[0] as Watched).signal;
  assert.deepEqual([reason.name, reason.code], ["TimeoutError", "ERR_TIMEOUT"]);
});

test("A call given up sends [call, reason] to handle 117; an answered one sends nothing", async () => {
  const { context, wire } = watching();
  const abort = new AbortController();
  const calls = context.with({ signal: abort.signal, timeoutMs: 60_000 });
  assert.equal(await calls.call(add, 1, 1), 2);
  await assert.rejects(calls.call(fail, "no"));
  assert.deepEqual(cancels(wire.left.sent), []);
  const call = calls.call(watch);
  abort.abort("a string");
  await assert.rejects(call, (reason) => reason === "a string");
  const [[callId, reason]] = cancels(wire.left.sent) as [[number, Error]];
  const { replyTo } = wire.left.sent[2] as Frame;
  assert.deepEqual([callId, reason.message], [replyTo, "Non-error thrown: a string"]);
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
});

test("Context.with().callAsync: the receiver ends with the reason, and the function learns of it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { context, running, master } = watching();
  const receiver = context.with({ timeoutMs: 100 }).callAsync(watch);
  const wait = receiver.get();
  t.mock.timers.tick(100);
  await assert.rejects(wait, { name: "TimeoutError", message: /^Cannot call watch of .* within 100 ms$/ });
  await assert.rejects(receiver.get(), TimeoutError);
  assert.equal((running[0] as Watched).signal.aborted, true);
  assert.equal(master.fakeBroker.holds, 0);
});

test("Context.with().callAsync answered in time keeps neither timer nor listener", async () => {
  const { context, wire } = watching();
  const abort = new AbortController();
  const receiver = context.with({ signal: abort.signal }).callAsync(add, 1, 2);
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
  abort.abort();
  assert.equal((await receiver.get()).decode(), 3);
  assert.deepEqual(cancels(wire.left.sent), []);
});

test("Context.with().callNoReply: the function learns of it; a failure is logged there, once", async (t) => {
  const records = captureLogs(t, "warning");
  const { context, running, wire, master } = watching();
  const abort = new AbortController();
  const calls = context.with({ signal: abort.signal });
  calls.callNoReply(watch);
  calls.callNoReply(fail, "unseen");
  abort.abort(new Error("enough"));
  assert.equal((running[0] as Watched).signal.aborted, true);
  assert.match(printed(records).join("\n"), /^error: Call of fail of file:\/\/\/fake\.js failed: .*unseen/);
  assert.equal(records.length, 1);
  assert.equal(cancels(wire.left.sent).length, 1);
  assert.deepEqual([getEventListeners(abort.signal, "abort").length, master.fakeBroker.holds], [0, 0]);
});

test("Context.with() whose signal has aborted already sends nothing", async () => {
  const { context, running } = watching();
  const calls = context.with({ signal: AbortSignal.abort(new RangeError("before")) });
  await assert.rejects(calls.call(watch), RangeError);
  await assert.rejects(calls.callAsync(watch).get(), RangeError);
  calls.callNoReply(watch);
  assert.deepEqual(running, []);
  for (const timeoutMs of [-1, Number.NaN]) {
    assert.throws(() => context.with({ timeoutMs }), { name: "RangeError", code: "ERR_OUT_OF_RANGE" });
  }
});

test("Context.with() and a context that is gone: everything ends, and nothing is watched", async () => {
  const { context, wire } = watching();
  const abort = new AbortController();
  const calls = context.with({ signal: abort.signal });
  const early = calls.callAsync(watch);
  calls.callNoReply(watch);
  wire.cut("child.1: gone");
  await assert.rejects(early.get(), { message: "child.1: gone" });
  await assert.rejects(calls.callAsync(watch).get(), { message: "child.1: gone" });
  calls.callNoReply(watch);
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
});

test("A call given up while it waits for modules in the context is never started", async () => {
  const { context, holdModule, running } = watching();
  const abort = new AbortController();
  const module = holdModule("watch");
  const bounded = context.with({ signal: abort.signal });
  const loading = bounded.call(watch);
  const queued = bounded.callAsync(watch);
  const last = context.call(add, 1, 1);
  abort.abort(new RangeError("enough"));
  await assert.rejects(loading, RangeError);
  await assert.rejects(queued.get(), RangeError);
  module.resolve();
  assert.equal(await last, 2);
  assert.deepEqual(running, []);
});

test("A call given up after it was answered changes nothing, because the reply and the message crossed", async () => {
  const { context, wire } = watching();
  wire.hold();
  const abort = new AbortController();
  const call = context.with({ signal: abort.signal }).call(add, 1, 1);
  abort.abort(new RangeError("enough"));
  await assert.rejects(call, RangeError);
  wire.release();
  assert.equal(await context.call(add, 2, 2), 4);
});

test("Only the context that made a call can end it, not another one above", async () => {
  // 0 is above 1, and 1 above 2. 0 calls 2, and 1 says that the call is cancelled.
  const master = new FakeRouter({ contextId: 0 });
  const middle = new FakeRouter({ contextId: 1, parentIds: [0] });
  const target = new FakeRouter({ contextId: 2, parentIds: [1, 0] });
  connect(master, middle);
  connect(middle, target);
  master.addRoute(2, master.peerOf(1) as Peer);
  const seen: AbortSignal[] = [];
  const end = new Deferred<string>();
  const { library } = dispatching(target, {
    watch: () => {
      seen.push((library["currentCall"] as never as () => Watched)().signal);
      return end.promise;
    },
  });
  const receiver = master.introduce(2, "child.2").callAsync(ref<typeof watch>("file:///fake.js", "watch"));
  const cancelFrom = (router: FakeRouter): void => {
    const value = [receiver.handle, new Error("no")];
    router.route(Message.to(router, { dstId: 2, handle: Handle.CANCEL_CALL }, { value }));
  };
  cancelFrom(middle);
  assert.equal(seen[0]?.aborted, false);
  cancelFrom(master);
  assert.equal(seen[0]?.aborted, true);
  end.resolve("done");
  assert.equal((await receiver.get()).decode(), "done");
});

test("A context below cannot end a call, because it has no authority", (t) => {
  const records = captureLogs(t, "debug");
  const { master, child } = watching();
  dispatching(master, {});
  child.routeFrame({
    ...child.deadFrame(0, Handle.CANCEL_CALL, "x"),
    replyTo: 1234,
  });
  assert.match(printed(records).join("\n"), /Refused message from context 1 to handle 117: policy/);
});

test("A caller that goes aborts the signals of its calls", async () => {
  const { context, child, running, wire } = watching();
  const call = context.call(watch);
  call.catch(() => undefined);
  child.delRoutes([0], "the caller is gone");
  const { reason } = (running[0] as Watched).signal;
  assert.deepEqual([reason.name, reason.message], ["ChannelError", "the caller is gone"]);
  wire.cut();
});

test("currentCall is the same after awaits, different for each call, and throws outside of calls", async () => {
  const sources: unknown[] = [];
  const { library, context } = fakeChild({
    watch: async () => {
      const get = library["currentCall"] as never as () => Watched;
      const before = get();
      await Promise.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      sources.push(get() === before, get().signal === before.signal);
      return before;
    },
  });
  await Promise.allSettled([context.call(watch), context.call(watch)]);
  assert.deepEqual(sources, [true, true, true, true]);
  assert.throws(() => library["currentCall"]?.(), {
    name: "MitogenError",
    message: "Cannot get the current call: no call has started this code",
  });
});

test("currentCall works in the listeners of its own signal, for each call", async () => {
  const heard: boolean[] = [];
  const { library, context } = fakeChild({
    watch: async () => {
      const get = library["currentCall"] as never as () => Watched;
      const call = get();
      call.signal.addEventListener("abort", () => heard.push(get() === call));
      await new Deferred<void>().promise;
    },
  });
  for (const abort of [new AbortController(), new AbortController()]) {
    const call = context.with({ signal: abort.signal }).call(watch);
    abort.abort();
    await assert.rejects(call, { name: "AbortError" });
  }
  assert.deepEqual(heard, [true, true]);
});

test("A call given up is dropped silently if nobody can notice", async (t) => {
  const { context } = watching({ hasLibrary: false });
  const records = captureLogs(t, "warning");
  const abort = new AbortController();
  const call = context.with({ signal: abort.signal }).call(watch);
  abort.abort();
  await assert.rejects(call, { name: "AbortError" });
  assert.deepEqual(printed(records), []);
});
