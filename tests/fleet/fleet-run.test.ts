import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GivenUp, WorkEvent, WorkResult } from "../../src/fleet/engine/host-run.ts";
import type { FleetEvent, HostEnd, HostFailure, HostSuccess } from "../../src/fleet/engine/result.ts";
import type { TakenRunOptions } from "../../src/fleet/fleet-options.ts";
import { batchesOf, FleetRun, type RunMember } from "../../src/fleet/fleet-run.ts";
import { Deferred } from "../../src/waiting/deferred.ts";

/** A host whose connect and work end when the test says so. */
class HeldMember implements RunMember<string> {
  readonly name: string;
  readonly connected = new Deferred<Error | undefined>();
  readonly #ended = new Deferred<WorkResult<string>>();
  isBegun = false;
  emit: (event: WorkEvent) => void = () => undefined;
  print: (text: string) => void = () => undefined;

  constructor(name: string, isConnected = true) {
    this.name = name;
    if (isConnected) this.connected.resolve(undefined);
  }

  reachable(): Promise<Error | undefined> {
    return this.connected.promise;
  }

  listen(listener: (line: { stream: "stdout"; text: string }) => void): () => void {
    this.print = (text) => listener({ stream: "stdout", text });
    return () => {
      this.print = () => assert.fail("nobody listens any more");
    };
  }

  work(givenUp: AbortSignal, emit: (event: WorkEvent) => void): Promise<WorkResult<string>> {
    this.isBegun = true;
    this.emit = emit;
    givenUp.addEventListener("abort", () => {
      const { reason } = givenUp.reason as GivenUp;
      this.end({ status: "skipped", error: reason as Error });
    });
    return this.#ended.promise;
  }

  end(rest: Omit<HostSuccess<string>, keyof HostEnd> | Omit<HostFailure, keyof HostEnd>): void {
    this.#ended.resolve({ host: this.name, durationMs: 1, ...rest });
  }

  succeed(): void {
    this.end({ status: "ok", value: this.name });
  }

  fail(): void {
    this.end({ status: "failed", error: new Error(`no ${this.name}`) });
  }
}

function members(count: number, isConnected = true): HeldMember[] {
  return Array.from({ length: count }, (_, i) => new HeldMember(`h${i}`, isConnected));
}

/** Lets everything happen that does not wait for the test. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

const begun = (hosts: readonly HeldMember[]): string[] =>
  hosts.filter(({ isBegun }) => isBegun).map(({ name }) => name);

function start(hosts: readonly HeldMember[], options: TakenRunOptions = {}) {
  const events: FleetEvent[] = [];
  const run = new FleetRun<string>(hosts, { onEvent: (event) => events.push(event), ...options });
  return { run, events, done: run.all() };
}

describe("FleetRun", () => {
  it("hands the promise of `onEvent` to the emitter, for which it never rejects", async () => {
    const [host] = members(1) as [HeldMember];
    const reader = new Deferred<void>();
    const { done } = start([host], { onEvent: (event) => event.type === "output" && reader.promise });
    await settle();
    const told = host.emit({ type: "output", stream: "stdout", text: "one" }) as unknown as Promise<void>;
    assert.ok(told instanceof Promise);
    reader.reject(new Error("no reader"));
    assert.equal(await told, undefined);
    assert.equal(host.emit({ type: "progress", bytes: 1 }), undefined);
    host.succeed();
    await done;
  });

  it("begins with at most `concurrency` hosts at once, in their order", async () => {
    const hosts = members(5);
    const { done } = start(hosts, { concurrency: 2 });
    await settle();
    assert.deepEqual(begun(hosts), ["h0", "h1"]);
    hosts[1]?.succeed();
    await settle();
    assert.deepEqual(begun(hosts), ["h0", "h1", "h2"]);
    for (const host of hosts) host.succeed();
    assert.deepEqual(
      (await done).map(({ value }) => value),
      ["h0", "h1", "h2", "h3", "h4"],
    );
  });

  it("does not begin before it is read", async () => {
    const hosts = members(1);
    new FleetRun<string>(hosts, {});
    await settle();
    assert.deepEqual(begun(hosts), []);
  });

  it("gives no place to a host that is still connecting", async () => {
    const hosts = [new HeldMember("slow", false), ...members(3)];
    const { done } = start(hosts, { concurrency: 1 });
    for (const host of hosts.slice(1)) {
      await settle();
      assert.equal(host.isBegun, true);
      host.succeed();
    }
    hosts[0]?.connected.resolve(new RangeError("too far"));
    const [slow] = await done;
    assert.deepEqual([slow?.status, String(slow?.error)], ["unreachable", "RangeError: too far"]);
  });

  it("begins with a batch when the one before has ended", async () => {
    const hosts = members(6);
    const { done } = start(hosts, { batch: [{ count: 1 }, { percent: 33 }] });
    await settle();
    assert.deepEqual(begun(hosts), ["h0"]);
    hosts[0]?.fail();
    await settle();
    assert.deepEqual(begun(hosts), ["h0", "h1", "h2"]);
    hosts[2]?.succeed();
    await settle();
    assert.equal(begun(hosts).length, 3);
    hosts[1]?.succeed();
    await settle();
    assert.deepEqual(begun(hosts), ["h0", "h1", "h2", "h3", "h4"]);
    for (const host of hosts) host.succeed();
    assert.equal((await done).length, 6);
  });

  it("says why a host was not tried if one host has failed", async () => {
    const hosts = members(2);
    const { done } = start(hosts, { concurrency: 1, maxFail: { count: 0 } });
    await settle();
    hosts[0]?.fail();
    const [, skipped] = await done;
    assert.equal(skipped?.error?.message, "The host was not tried: 1 host has failed, and maxFail allows 0");
  });

  it("begins with no further host once more hosts have failed than `maxFail` allows", async () => {
    const hosts = members(10);
    const { done, run, events } = start(hosts, { concurrency: 3, maxFail: { percent: 19 } });
    await settle();
    hosts[0]?.fail();
    await settle();
    assert.equal(begun(hosts).length, 4);
    hosts[1]?.fail();
    await settle();
    // The limit is exceeded: the two that run end by themselves.
    assert.equal(begun(hosts).length, 4);
    hosts[2]?.succeed();
    hosts[3]?.succeed();
    const results = await done;
    assert.equal(begun(hosts).length, 4);
    assert.deepEqual(run.summary, { ok: 2, failed: 2, unreachable: 0, skipped: 6 });
    assert.equal(
      results[9]?.error?.message,
      "The host was not tried: 2 hosts have failed, and maxFail allows 1",
    );
    assert.deepEqual(events.at(-1), { type: "summary", summary: run.summary });
    assert.equal(events.filter(({ type }) => type === "result").length, 10);
  });

  it("counts unreachable hosts as failed, and skips hosts that still connect or are in later batches", async () => {
    const hosts = [new HeldMember("gone", false), new HeldMember("slow", false), ...members(3)];
    const { done } = start(hosts, { batch: [{ count: 2 }], maxFail: { count: 0 } });
    hosts[0]?.connected.resolve(new Error("no"));
    assert.deepEqual(
      (await done).map(({ status }) => status),
      ["unreachable", ...Array(4).fill("skipped")],
    );
    // A connect that ends later changes nothing.
    hosts[1]?.connected.resolve(undefined);
    await settle();
    assert.deepEqual(begun(hosts), []);
  });

  it("gives up the other hosts when its reader leaves", async () => {
    const hosts = members(5);
    const { signal: _, ...rest } = { signal: undefined };
    const events: FleetEvent[] = [];
    const run = new FleetRun<string>(hosts, { ...rest, concurrency: 2, onEvent: (e) => events.push(e) });
    const first = (async () => {
      for await (const result of run) return result.host;
      return undefined;
    })();
    await settle();
    hosts[1]?.succeed();
    assert.equal(await first, "h1");
    await settle();
    assert.deepEqual(run.summary, { ok: 1, failed: 0, unreachable: 0, skipped: 4 });
    assert.equal(events.at(-1)?.type, "summary");
    await assert.rejects(run.all(), /Cannot iterate a run of a fleet twice/);
  });

  it("ends when its signal aborts, and reports the reason", async () => {
    const hosts = members(4);
    const end = new AbortController();
    const { done } = start(hosts, { concurrency: 2, signal: end.signal });
    await settle();
    hosts[0]?.succeed();
    await settle();
    end.abort(new RangeError("enough"));
    const results = await done;
    assert.deepEqual(
      results.map(({ status, error }) => `${status} ${error?.message}`),
      ["ok undefined", ...Array(3).fill("skipped enough")],
    );
    assert.deepEqual(begun(hosts), ["h0", "h1", "h2"]);
    const hosts2 = members(1);
    assert.equal(
      (await start(hosts2, { signal: AbortSignal.abort(new Error("before")) }).done)[0]?.status,
      "skipped",
    );
    assert.deepEqual(begun(hosts2), []);
  });

  it("waits for a slow reader before further hosts begin", async () => {
    const hosts = members(600);
    for (const host of hosts) host.succeed();
    const reader = new FleetRun<string>(hosts, { concurrency: 10 })[Symbol.asyncIterator]();
    await reader.next();
    for (let i = 0; i < 20; i++) await settle();
    const count = begun(hosts).length;
    assert.ok(count >= 256 && count < 300, `${count} hosts have begun`);
    let read = 1;
    while ((await reader.next()).done !== true) read += 1;
    assert.equal(read, 600);
  });

  it("keeps the end of long output, and cuts long lines", async () => {
    const [host] = members(1) as [HeldMember];
    const { done, events } = start([host]);
    await settle();
    host.print("x".repeat(20_000));
    for (let i = 0; i < 30_000; i++) host.print(`line ${i}`);
    host.emit({ type: "progress", bytes: 5 });
    host.succeed();
    const output = (await done)[0]?.output as string;
    assert.ok(output.length < 66_000, `${output.length}`);
    assert.ok(output.startsWith("…\nline ") && output.endsWith("\nline 29999"));
    const [, first] = events;
    assert.equal(first?.type === "output" && first.text.length, 16 * 1024 + 1);
    assert.ok(events.some((e) => e.type === "progress" && e.host === "h0" && e.bytes === 5));
  });

  it("is not disturbed by an `onEvent` that throws", async () => {
    const [host] = members(1) as [HeldMember];
    host.succeed();
    const onEvent = (): void => {
      throw new Error("mine");
    };
    assert.equal((await start([host], { onEvent }).done)[0]?.status, "ok");
  });
});

describe("batchesOf", () => {
  it("repeats the last size, and rounds percentages up", () => {
    const sizes = (total: number, ...shares: Parameters<typeof batchesOf>[1] & object[]) =>
      batchesOf([...Array(total).keys()], shares).map(({ length }) => length);
    assert.deepEqual(sizes(10, { count: 1 }, { percent: 10 }, { percent: 50 }), [1, 1, 5, 3]);
    assert.deepEqual(sizes(7, { percent: 1 }), [1, 1, 1, 1, 1, 1, 1]);
    assert.deepEqual(sizes(3, { count: 100 }), [3]);
    assert.deepEqual(sizes(0, { count: 1 }), []);
    assert.deepEqual(batchesOf([1, 2], undefined), [[1, 2]]);
  });
});
