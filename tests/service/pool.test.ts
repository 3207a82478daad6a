import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import { CallError, ChannelError } from "../../src/errors.ts";
import { MAX_REQUESTS_PER_CONTEXT } from "../../src/service/admission.ts";
import { AllowAny } from "../../src/service/exposed.ts";
import { DeduplicatingInvoker, type Invoker, SerializedInvoker } from "../../src/service/invoker.ts";
import { NO_REPLY, Pool } from "../../src/service/pool.ts";
import { stopServices } from "../../src/service/router-services.ts";
import { type Exposed, Service } from "../../src/service/service.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import { captureLogs, printed } from "../support/fake-log-sink.ts";
import { connect, FakeRouter } from "../support/fake-tree.ts";
import { failureOf, servicePair, stateOf } from "../support/service-pair.ts";

/** A service with a method that ends when the test says so, and that records what happened. */
class Slow extends Service {
  static override serviceName = "slow";
  static override exposed: Record<string, Exposed> = {
    work: AllowAny,
    fail: AllowAny,
    silent: { allow: AllowAny, noReply: true },
    quiet: AllowAny,
    unsendable: AllowAny,
  };
  readonly events: string[] = [];
  readonly ends: Record<string, Deferred<unknown>> = {};

  work({ label }: { label: string }): Promise<unknown> {
    this.events.push(label);
    const end = new Deferred<unknown>();
    this.ends[label] = end;
    return end.promise;
  }
  fail({ isCallError }: { isCallError?: boolean }): never {
    throw isCallError === true ? new CallError("as it is") : new RangeError("unforeseen");
  }
  silent({ fails }: { fails?: boolean }, message: Message): string {
    if (fails === true) throw new CallError("nobody hears");
    this.events.push(`silent for ${message.srcId}`);
    return "not sent";
  }
  quiet(): typeof NO_REPLY {
    return NO_REPLY;
  }
  unsendable(): unknown {
    return () => 1;
  }
  override onShutdown(): void {
    this.events.push("shut down");
  }
}

function slowPool(size?: number) {
  const pair = servicePair();
  const service = new Slow(pair.master);
  const pool = new Pool(pair.master, [service], size === undefined ? {} : { size });
  const context = pair.child.contextById(0);
  const work = (label: string) => {
    const call = context.callService(Slow, "work", { label });
    call.catch(() => undefined);
    return call;
  };
  return { ...pair, service, pool, context, work };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("Pool runs as many methods of all services together as its size says", async () => {
  const { master, service, work, pool, context } = slowPool(2);
  class Other extends Slow {
    static override serviceName = "other";
  }
  const other = new Other(master);
  pool.add(other);
  const calls = [work("a"), context.callService(Other, "work", { label: "b" }), work("c")];
  await turn();
  assert.deepEqual([service.events, other.events], [["a"], ["b"]]);
  other.ends["b"]?.resolve("b is done");
  assert.equal(await calls[1], "b is done");
  await turn();
  assert.deepEqual(service.events, ["a", "c"]);
  for (const end of Object.values(service.ends)) end.resolve("done");
  assert.deepEqual(await Promise.all(calls), ["done", "b is done", "done"]);
});

test("Pool starts requests in the order they came", async () => {
  const { service, work } = slowPool(1);
  const calls = ["a", "b", "c"].map(work);
  for (const label of ["a", "b", "c"]) {
    await turn();
    assert.equal(service.events[service.events.length - 1], label);
    service.ends[label]?.resolve(label);
  }
  assert.deepEqual(await Promise.all(calls), ["a", "b", "c"]);
});

test("Pool.add refuses a second service of the same name", () => {
  const { master, pool } = slowPool();
  assert.throws(
    () => pool.add(new Slow(master)),
    /^RangeError: Cannot add service slow: the pool has one of that name$/,
  );
});

test("Pool refuses to be the second of a router, and an invalid size", async () => {
  const { master, pool, service, context } = slowPool();
  assert.throws(() => new Pool(master), /^RangeError: Cannot make pool: this router has one/);
  for (const size of [0, -1, Number.NaN])
    assert.throws(() => new Pool(master, [], { size, overwrite: true }), RangeError);
  assert.equal(pool.isStopped, false);
  const second = new Pool(master, [], { overwrite: true });
  assert.equal(pool.isStopped, true);
  await pool.stop();
  assert.deepEqual(service.events, ["shut down"]);
  // The handle belongs to the second pool, and stays with it.
  assert.equal((await failureOf(context.callService("slow", "work", {}))).code, "ERR_SERVICE_INACTIVE");
  await second.stop();
  // After that, there may be another pool.
  await new Pool(master).stop();
});

test("Pool.defer runs a function within the pool's size, and settles like it", async () => {
  const { pool, service, work } = slowPool(1);
  const call = work("a");
  const events: string[] = [];
  const deferred = pool.defer(async () => {
    events.push("deferred");
    return 7;
  });
  await turn();
  assert.deepEqual(events, []);
  service.ends["a"]?.resolve(1);
  await call;
  assert.equal(await deferred, 7);
  await assert.rejects(
    pool.defer(() => {
      throw new Error("inside");
    }),
    /inside/,
  );
  await pool.stop();
  await assert.rejects(
    pool.defer(() => 1),
    ChannelError,
  );
});

test("Pool.stop waits for running methods, then calls onShutdown in order", async () => {
  const { pool, service, work, master } = slowPool();
  const order: string[] = [];
  const last = (name: string) =>
    class extends Service {
      static override serviceName = name;
      override async onShutdown(): Promise<void> {
        await turn();
        order.push(name);
        if (name === "second") throw new Error("cannot clean up");
      }
    };
  for (const name of ["second", "third"]) pool.add(new (last(name))(master));
  const running = work("a");
  await turn();
  const stopped = pool.stop();
  assert.equal(await stateOf(stopped), "pending");
  assert.deepEqual(service.events, ["a"]);
  service.ends["a"]?.resolve("a value");
  await stopped;
  assert.equal(await running, "a value");
  assert.deepEqual(service.events, ["a", "shut down"]);
  assert.deepEqual(order, ["second", "third"]);
  await pool.stop();
  assert.deepEqual(order, ["second", "third"]);
  assert.equal(master.fakeBroker.holds, 0);
});

test("Pool.stop answers queued and new requests with dead messages, also serialised and shared ones", async () => {
  const { pool, service, work, context, master } = slowPool(1);
  class Serialized extends Slow {
    static override serviceName = "serialized";
    static override invoker: new () => Invoker = SerializedInvoker;
  }
  class Shared extends Slow {
    static override serviceName = "shared";
    static override invoker: new () => Invoker = DeduplicatingInvoker;
  }
  for (const Type of [Serialized, Shared]) pool.add(new Type(master));
  const running = work("running");
  const queued = [
    work("queued"),
    context.callService(Serialized, "work", { label: "1" }),
    context.callService(Serialized, "work", { label: "2" }),
    context.callService(Shared, "work", { label: "3" }),
    context.callService(Shared, "work", { label: "3" }),
  ].map(failureOf);
  await turn();
  const stopped = pool.stop();
  // Queued requests are answered while the running one still runs.
  for (const error of await Promise.all(queued)) {
    assert.ok(error instanceof ChannelError, String(error));
    assert.equal(error.message, "Cannot deliver message to handle 110 of context 0: the pool was stopped");
  }
  const late = await failureOf(work("late"));
  assert.ok(late instanceof ChannelError);
  assert.match(late.message, /no such handle/);
  service.ends["running"]?.resolve("its value");
  assert.equal(await running, "its value");
  await stopped;
  assert.deepEqual(service.events, ["running", "shut down"]);
});

test("Pool.stop with timeoutMs continues without a method that never ends", async () => {
  const { pool, service, work } = slowPool();
  const running = work("hangs");
  await turn();
  await pool.stop({ timeoutMs: 20 });
  assert.deepEqual(service.events, ["hangs", "shut down"]);
  service.ends["hangs"]?.resolve("late");
  assert.equal(await running, "late");
  assert.throws(() => pool.stop({ timeoutMs: -1 }), RangeError);
});

test("Pool.stop with timeoutMs bounds an earlier stop without it, and an onShutdown that hangs", async () => {
  const { pool, master } = slowPool();
  class Hanging extends Service {
    static override serviceName = "hanging";
    override onShutdown(): Promise<void> {
      return new Promise(() => undefined);
    }
  }
  pool.add(new Hanging(master));
  const stopped = pool.stop();
  assert.equal(await stateOf(stopped), "pending");
  await stopServices(master, 20);
  await stopped;
});

test("stopServices has nothing to do for a router without a pool", async () => {
  await stopServices(servicePair().master, 60_000);
});

test("Pool logs a CallError of a method as WARNING, anything else as ERROR with its stack, and answers both", async (t) => {
  const { context } = slowPool();
  const records = captureLogs(t, "warning");
  const thrown = await failureOf(context.callService(Slow, "fail", { isCallError: true }));
  assert.equal(thrown.message, "as it is");
  const unforeseen = await failureOf(context.callService(Slow, "fail", {}));
  assert.ok(unforeseen instanceof CallError);
  assert.equal(unforeseen.message, "RangeError: unforeseen");
  const unsendable = await failureOf(context.callService(Slow, "unsendable"));
  assert.match(unsendable.message, /TypeError.*function/);
  const [first, second, third] = printed(records);
  assert.equal(first, "warning: fail of service slow, asked for by context 1, failed: as it is");
  assert.match(
    second ?? "",
    /^error: fail of service slow, asked for by context 1, failed: CallError: RangeError: unforeseen\n +at /,
  );
  assert.match(third ?? "", /^error: unsendable of service slow/);
  assert.equal(records.length, 3);
});

test("Pool sends nothing for a noReply method, and logs what it throws", async (t) => {
  const { context, service, wire } = slowPool();
  const records = captureLogs(t, "warning");
  const answers = [
    context.callServiceAsync(Slow, "silent", {}),
    context.callServiceAsync(Slow, "silent", { fails: true }),
    context.callServiceAsync(Slow, "quiet"),
  ];
  await turn();
  assert.deepEqual(service.events, ["silent for 1"]);
  assert.equal(wire.left.sent.length, 0);
  assert.match(
    printed(records).join(),
    /^error: silent of service slow, asked for by context 1, failed: CallError: nobody hears/,
  );
  for (const answer of answers) answer.close();
});

test("a method gets the request, and may answer it itself", async () => {
  class Answering extends Service {
    static override serviceName = "answering";
    static override exposed: Record<string, Exposed> = { ask: { allow: AllowAny, noReply: true } };
    ask(_args: Record<never, never>, message: Message): void {
      assert.ok(message instanceof Message);
      message.reply([message.srcId, message.authId, message.context.contextId]);
    }
  }
  const { master, child } = servicePair();
  new Pool(master, [new Answering(master)]);
  assert.deepEqual(await child.contextById(0).callService("answering", "ask"), [1, 1, 1]);
});

test("Pool refuses one request too many from a context, runs those it has taken, and takes those of others", async (t) => {
  const records = captureLogs(t, "warning");
  const { master, service, work, child } = slowPool(1);
  const calls = [...Array(MAX_REQUESTS_PER_CONTEXT).keys()].map((at) => work(`w${at}`));
  const refused = await failureOf(work("one too many"));
  assert.equal(refused.code, "ERR_SERVICE_BUSY");
  assert.match(
    printed(records).join("\n"),
    /^warning: Refused service requests of child\.1: 4096 requests wait/,
  );
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  other.functions = child.functions;
  connect(master, other);
  const others = other.contextById(0).callService(Slow, "work", { label: "other" });
  service.ends["w0"]?.resolve("done");
  assert.equal(await calls[0], "done");
  const later = work("there is room again");
  for (const label of service.events) service.ends[label]?.resolve(label);
  // Each request begins when the one before it has ended.
  let begun = 1;
  while (begun < service.events.length || service.events.length < MAX_REQUESTS_PER_CONTEXT + 2) {
    for (; begun < service.events.length; begun++)
      service.ends[service.events[begun] as string]?.resolve("done");
    await turn();
  }
  assert.deepEqual(await Promise.all([others, later]), ["done", "done"]);
});
