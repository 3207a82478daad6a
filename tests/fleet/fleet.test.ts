import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { Fleet, type FleetEvent, type Host, type HostResult, type Step } from "../../src/fleet/index.ts";
import { type CommandError, type Context, MitogenError, Router, Secret } from "../../src/index.ts";
import { Deferred } from "../../src/waiting/deferred.ts";
import * as remote from "../fixtures/remote/fleet.ts";
import { isFull } from "../support/extent.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild|^$/ });

function host(name: string, ...steps: Step[]): Host {
  return { name, groups: [], vars: {}, steps: steps.length === 0 ? [{ local: {} }] : steps };
}

function byHost<T>(results: readonly HostResult<T>[]): Record<string, HostResult<T>> {
  return Object.fromEntries(results.map((result) => [result.host, result]));
}

/** Lines of 500 characters: more than the buffers between a command and its reader hold. */
const LINES = isFull ? 200_000 : 10_000;

describe("Fleet", () => {
  let router: Router;
  const open: Fleet[] = [];
  before(() => {
    router = new Router();
  });
  after(() => router.shutdown());

  async function connect(
    hosts: readonly Host[],
    options?: Parameters<typeof Fleet.connect>[2],
  ): Promise<Fleet> {
    const fleet = await Fleet.connect(router, hosts, options);
    open.push(fleet);
    return fleet;
  }
  // A context that idles for seconds takes CPU time to collect its garbage.
  afterEach(() => Promise.all(open.splice(0).map((fleet) => fleet.close())));

  it("runs a function on every host, and returns values and output", async () => {
    const events: FleetEvent[] = [];
    const onEvent = (event: FleetEvent): void => void events.push(event);
    await using fleet = await Fleet.connect(router, Promise.resolve([host("a"), host("b")]), {
      onEvent,
    });
    const results = await fleet.run(remote.greet, ["you"], { onEvent }).all();
    assert.deepEqual(
      results.map(({ host, status }) => [host, status]),
      [
        ["a", "ok"],
        ["b", "ok"],
      ],
    );
    for (const { host, value, output } of results) {
      const pid = await fleet.context(host)?.call(remote.pidThere);
      assert.equal(value, `you from ${pid}`);
      assert.deepEqual(output?.split("\n").sort(), ["Hello, you", "to stderr"]);
    }
    const of = (name: string): string[] =>
      events.flatMap((event) => ("host" in event && event.host === name ? [event.type] : []));
    assert.deepEqual(of("b"), ["connecting", "connected", "start", "output", "output"]);
    assert.equal(events.filter(({ type }) => type === "result").length, 2);
    assert.deepEqual(events.at(-1), {
      type: "summary",
      summary: { ok: 2, failed: 0, unreachable: 0, skipped: 0 },
    });
  });

  describe("of one host that all tests share", () => {
    let fleet: Fleet;
    before(async () => {
      fleet = await Fleet.connect(router, [host("a")]);
    });
    after(() => fleet.close());

    it("lets a command wait for the promise that onEvent returns", async () => {
      const reader = new Deferred<void>();
      const begun = new Deferred<void>();
      let lines = 0;
      const onEvent = (event: FleetEvent): unknown => {
        if (event.type !== "output") return undefined;
        lines += 1;
        begun.resolve();
        return reader.promise;
      };
      const done = fleet
        .exec(["seq", "-f", "%500.0f", `${LINES}`], { onEvent, maxOutputBytes: 2 ** 20 })
        .all();
      await begun.promise;
      // The reader got what came at once, and gets no more, however long it waits.
      const [first] = await fleet.ping().all();
      const taken = lines;
      for (let i = 0; i < 20; i++) await fleet.ping().all();
      assert.equal(first?.status, "ok");
      assert.equal(lines, taken);
      assert.ok(taken < LINES / 4);
      reader.resolve();
      assert.deepEqual(
        (await done).map(({ status }) => status),
        ["ok"],
      );
      assert.equal(lines, LINES);
    });

    it("has output without a newline in its own result, not in the next one", async () => {
      const printed = ["1 %", "from the function, from a program"];
      const lines = ({ output }: HostResult): string[] | undefined => output?.split("\n").sort();
      for (const fails of [false, true]) {
        const [result] = await fleet.run(remote.printWithoutNewline, [fails]).all();
        assert.equal(result?.status, fails ? "failed" : "ok");
        assert.deepEqual(lines(result), printed);
      }
      const [called] = await fleet.each((context) => context.call(remote.printWithoutNewline, false)).all();
      assert.deepEqual(lines(called as HostResult), printed);
      const [next] = await fleet.run(remote.greet, ["you"]).all();
      assert.deepEqual(lines(next as HostResult), ["Hello, you", "to stderr"]);
    });

    it("runs commands, gathers facts, pings, and calls functions of the program", async () => {
      const old = nodes[12];
      const fleets = [fleet];
      if (old !== undefined) fleets.push(await connect([host("old", { local: { nodePath: old } })]));
      for (const fleet of fleets) {
        const events: FleetEvent[] = [];
        for (const { value, status } of await fleet
          .exec("echo one; echo two >&2; exit 3", {
            shell: true,
            check: false,
            onEvent: (e) => events.push(e),
          })
          .all()) {
          assert.equal(status, "ok");
          assert.deepEqual([value?.exitCode, value?.stdout, value?.stderr], [3, "one", "two"]);
        }
        const lines = events.flatMap((e) => (e.type === "output" ? [[e.stream, e.text]] : []));
        assert.deepEqual(lines.sort(), [
          ["stderr", "two"],
          ["stdout", "one"],
        ]);
        const [failed] = await fleet.exec(["sh", "-c", "exit 4"]).all();
        assert.equal(failed?.status, "failed");
        assert.equal((failed?.error as CommandError | undefined)?.exitCode, 4);
        for (const { value: facts } of await fleet.facts().all()) {
          assert.equal(facts?.hostname, hostname());
          assert.equal(facts?.user, userInfo().username);
          assert.ok((facts?.cpus ?? 0) > 0 && (facts?.totalMemoryBytes ?? 0) > 2 ** 20);
          assert.ok(readFileSync("/etc/os-release", "utf8").includes(facts?.os.name ?? "?"));
        }
        for (const { value } of await fleet.ping().all()) assert.ok((value ?? -1) >= 0);
        const each = await fleet.each((context, { name }) => `${name} ${context.contextId}`).all();
        assert.deepEqual(
          each.map(({ value }) => value),
          fleet.hosts.map(({ name }) => `${name} ${fleet.context(name)?.contextId}`),
        );
      }
    });

    it("tries a failed function again, and says how the last try failed", async (t) => {
      const folder = temporaryFolder(t);
      const file = join(folder, "tries");
      const [result] = await fleet.run(remote.failUntil, [file, 3], { retries: 2 }).all();
      assert.equal(result?.value, 3);
      rmSync(file);
      const [failed] = await fleet.run(remote.failUntil, [file, 3], { retries: 1 }).all();
      assert.equal(failed?.status, "failed");
      assert.match(String(failed?.error), /RangeError: try 2/);
    });

    it("gives errors stacks without lines of this library", async () => {
      const [failed] = await fleet.run(remote.failUntil, ["/nowhere/at/all", 1]).all();
      assert.equal(failed?.status, "failed");
      const stack = String(failed.error?.stack);
      assert.match(
        stack,
        /^CallError: .*ENOENT(?:.|\n)*at failUntil .*fixtures\/remote\/fleet(?:.|\n)*at \[local/,
      );
      assert.doesNotMatch(stack, /\/src\/|task_queues/);
      const [each] = await fleet.each(() => Promise.reject(new Error("of the program"))).all();
      assert.match(String(each?.error?.stack), /^Error: of the program\n.*fleet\.test/);
      assert.doesNotMatch(String(each?.error?.stack), /\/src\//);
    });

    it("fails without retries for a function that cannot be sent", async () => {
      const [result] = await fleet.run((() => 1) as never, [], { retries: 100 }).all();
      assert.equal(result?.status, "failed");
      assert.ok(result?.error instanceof TypeError);
    });
  });

  it("connects a lost host again, once, if the work may be repeated", async (t) => {
    const folder = temporaryFolder(t);
    const fleet = await connect([host("a"), host("b")]);
    await fleet.ready;
    const file = join(folder, "deaths");
    const [a] = await fleet
      .each((context, { name }) => (name === "a" ? context.call(remote.dieOnce, file) : "b"), {
        repeatable: true,
      })
      .all();
    assert.equal(a?.value, "survived");
    const [lost, other] = await fleet
      .each((context, { name }) => (name === "a" ? context.call(remote.die) : undefined))
      .all();
    assert.deepEqual([lost?.status, other?.status], ["unreachable", "ok"]);
    assert.deepEqual([...fleet.unreachable.keys()], ["a"]);
    const [always] = await fleet.run(remote.die, [], { repeatable: true }).all();
    assert.equal(always?.status, "unreachable");
  });

  it("is not held up by a host that hangs, refuses, is dead, lies or is given wrong options", async () => {
    const silent = await listenSilently();
    const { port } = silent.server.address() as { port: number };
    const sshArgs = ["-F", "/dev/null"];
    const hosts = [
      host("fine"),
      host("stopped"),
      host("silent", { ssh: { hostname: "127.0.0.1", port, sshArgs, timeoutMs: 1500 } }),
      host("refusing", { ssh: { hostname: "127.0.0.1", port: 1, sshArgs } }),
      host("dead", { exec: { command: ["false"] } }),
      host("lying", {
        exec: { command: ["sh", "-c", "echo MITOGEN lies; exec cat /dev/zero"], timeoutMs: 300 },
      }),
      host("wrong", { ssh: { hostname: "-oProxyCommand=id" } }),
      host("closing"),
    ];
    const fleet = await connect(hosts);
    const order: string[] = [];
    let stoppedPid = 0;
    const run = fleet.each(
      async (context, { name }, { signal }) => {
        const pid = await context.with({ signal }).call(remote.pidThere);
        if (name === "closing") process.kill(pid, "SIGKILL");
        if (name === "stopped") {
          stoppedPid = pid;
          process.kill(pid, "SIGSTOP");
        }
        await context.with({ signal }).call(remote.pidThere);
        return pid;
      },
      { timeoutMs: 1000 },
    );
    const results: HostResult<number>[] = [];
    for await (const result of run) {
      order.push(result.host);
      results.push(result);
    }
    const found = byHost(results);
    assert.deepEqual(Object.fromEntries(results.map(({ host, status }) => [host, status])), {
      fine: "ok",
      stopped: "failed",
      silent: "unreachable",
      refusing: "unreachable",
      dead: "unreachable",
      lying: "unreachable",
      wrong: "unreachable",
      closing: "unreachable",
    });
    assert.equal((found["stopped"]?.error as MitogenError | undefined)?.code, "ERR_TIMEOUT");
    assert.match(String(found["stopped"]?.error), /Cannot work on stopped: no end of it within 1000 ms/);
    assert.equal((found["silent"]?.error as MitogenError | undefined)?.code, "ERR_TIMEOUT");
    assert.match(String(found["wrong"]?.error), /hostname/);
    assert.ok(order.indexOf("fine") < order.indexOf("silent"));
    assert.deepEqual([...fleet.unreachable.keys()].sort(), [
      "closing",
      "dead",
      "lying",
      "refusing",
      "silent",
      "wrong",
    ]);
    // A stopped context is ended as well.
    await fleet.close();
    assert.deepEqual(await processesGone([stoppedPid], 5000), []);
    for (const socket of silent.sockets) socket.destroy();
    await new Promise((resolve) => silent.server.close(resolve));
  });

  it("starts one context for the steps that hosts share", async () => {
    const bastion = { local: { name: "bastion" } };
    const fleet = await connect([
      host("a", bastion, { local: {} }),
      host("b", { local: { name: "bastion" } }, { local: {} }),
      host("c", { local: { name: "other" } }, { local: {} }),
      host("bastion", bastion),
    ]);
    await fleet.ready;
    const [a, b, c, own] = ["a", "b", "c", "bastion"].map((name) => fleet.context(name) as Context);
    assert.ok(a?.via !== undefined && a.via === b?.via);
    assert.notEqual(a, b);
    assert.notEqual(a.via, c?.via);
    assert.notEqual(own, a.via);
    // The shared context is killed, and started again once.
    const waits = Promise.allSettled([a.call(remote.waitForEver), b?.call(remote.waitForEver)]);
    process.kill(await (a.via as Context).call(remote.pidThere), "SIGKILL");
    await waits;
    const results = await fleet.run(remote.pidThere, [], { repeatable: true }).all();
    assert.deepEqual(
      results.map(({ status }) => status),
      ["ok", "ok", "ok", "ok"],
    );
    assert.equal(fleet.context("a")?.via, fleet.context("b")?.via);
  });

  it("uses contexts that the program has, and does not end them", async () => {
    await using context = await owned(router);
    const fleet = await connect([host("mine"), host("other")], {
      connect: async ({ name }) => (name === "mine" ? context.context : undefined),
    });
    await fleet.ready;
    assert.equal(fleet.context("mine"), context.context);
    await fleet.close();
    assert.equal(context.context.isConnected, true);
    assert.equal(fleet.context("other"), undefined);
  });

  it("gives connects up when its signal aborts, and when it is closed", async () => {
    const end = new AbortController();
    const slow = host("slow", { exec: { command: ["sh", "-c", "sleep 1000"] } });
    const fleet = await connect([slow, host("fast")], { signal: end.signal });
    await fleet.run(remote.pidThere, [], { maxFail: 0 })[Symbol.asyncIterator]().next();
    end.abort(new RangeError("enough"));
    await fleet.ready;
    assert.deepEqual(
      [...fleet.unreachable].map(([name, error]) => [name, error.message]),
      [["slow", "enough"]],
    );
    const closed = await connect([slow]);
    const run = closed.run(remote.pidThere).all();
    await closed.close();
    assert.match(String((await run)[0]?.error), /CancelledError: Cannot connect: the fleet has been closed/);
  });

  it("refuses wrong hosts, options and functions", async () => {
    const refuses = async (hosts: unknown, options: object, message: RegExp): Promise<void> => {
      await assert.rejects(Fleet.connect(router, hosts as Host[], options), message);
    };
    await refuses(5, {}, /Cannot connect a fleet: the hosts must be a list of hosts, got 5/);
    await refuses(["a"], {}, /the hosts\[0\] must be a host: .*, got "a"/);
    await refuses([host("a"), host("a")], {}, /two hosts are named "a"/);
    await refuses([{ name: "a", steps: [] }], {}, /hosts\[0\]\.steps must be/);
    await refuses([{ name: "a", steps: [{ ssh: {}, local: {} }] }], {}, /hosts\[0\]\.steps\[0\] must be/);
    await refuses([{ name: "a", steps: [{ telnet: {} }] }], {}, /hosts\[0\]\.steps\[0\] must be/);
    await refuses([], { concurency: 1 }, /it has no option "concurency"; it has concurrency, timeoutMs/);
    await refuses([], { concurrency: 0 }, /concurrency must be an integer from 1/);
    await assert.rejects(Fleet.connect({} as Router, []), /the router must be a Router, got an object/);
    const fleet = await connect([]);
    assert.deepEqual(await fleet.run(remote.pidThere).all(), []);
    const misuse = (options: object) => () => fleet.run(remote.pidThere, [], options);
    assert.throws(misuse({ batch: 0 }), RangeError);
    assert.throws(misuse({ batch: [] }), RangeError);
    assert.throws(misuse({ batch: ["1", "half"] }), /batch\[1\] must be an integer from 1, a percentage/);
    assert.throws(misuse({ maxFail: "110%" }), /maxFail must be an integer from 0, or a percentage/);
    assert.throws(misuse({ maxFail: -1 }), RangeError);
    assert.throws(() => fleet.exec("a | b"), /shell/);
    assert.throws(() => fleet.exec("a", { input: (async function* () {})() as never }), /input must be/);
    assert.throws(() => fleet.each(5 as never), /must be a function, got 5/);
  });

  describe("with ssh", { skip: skipReason() }, () => {
    it("logs in to many hosts of one sshd at once", async () => {
      const hosts = Array.from({ length: 20 }, (_, i) => host(`h${i}`, { ssh: sshTo("mitogen-dash") }));
      const fleet = await connect(hosts, { retries: 1, concurrency: 20 });
      const results = await fleet.exec(["id", "-un"]).all();
      assert.deepEqual(
        new Set(results.map(({ status, value }) => `${status} ${value?.stdout}`)),
        new Set(["ok mitogen-dash"]),
      );
      await fleet.close();
    });

    it("connects through a host, with secrets and another user", async () => {
      const fleet = await connect([
        host("a", { ssh: sshTo("mitogen-dash") }, { local: {} }),
        host("b", { ssh: sshTo("mitogen-dash") }, { exec: { command: ["sh", "-c", 'exec "$@"', "sh"] } }),
        host("refused", { ssh: { ...sshTo("nobody-here"), password: new Secret("wrong") } }),
      ]);
      const results = byHost(await fleet.exec(["id", "-un"]).all());
      assert.equal(results["a"]?.value?.stdout, "mitogen-dash");
      assert.equal(results["b"]?.value?.stdout, "mitogen-dash");
      assert.equal(results["refused"]?.status, "unreachable");
      assert.doesNotMatch(JSON.stringify(results), /wrong/);
      assert.equal(fleet.context("a")?.via, fleet.context("b")?.via);
    });
  });
});

async function owned(router: Router): Promise<{ context: Context; [Symbol.asyncDispose](): Promise<void> }> {
  const context = await router.local();
  return { context, [Symbol.asyncDispose]: () => context.shutdown() };
}

/** A listener that accepts and says nothing. */
async function listenSilently(): Promise<{ server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, sockets };
}
