import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { Fleet, type FleetEvent, type Host, type HostResult, type Step } from "../../src/fleet/index.ts";
import { CommandError, type Context, type MitogenError, Router, StreamError } from "../../src/index.ts";
import * as remote from "../fixtures/remote/fleet.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild|^$/ });

function host(name: string, ...steps: Step[]): Host {
  return { name, groups: [], vars: {}, steps: steps.length === 0 ? [{ local: {} }] : steps };
}

function hosts(count: number): Host[] {
  return Array.from({ length: count }, (_, i) => host(`h${i}`));
}

const statuses = (results: readonly HostResult[]): string[] => results.map(({ status }) => status);

describe("Fleet through hops", () => {
  let router: Router;
  const open: Fleet[] = [];
  before(() => {
    router = new Router();
  });
  // A context that idles for seconds takes CPU time to collect its garbage.
  afterEach(() => Promise.all(open.splice(0).map((fleet) => fleet.close())));
  after(() => router.shutdown());

  async function connect(
    list: readonly Host[],
    hops: readonly Host[],
    options: Parameters<typeof Fleet.connect>[2] = {},
  ): Promise<Fleet> {
    const fleet = await Fleet.connect(router, list, { ...options, through: hops });
    open.push(fleet);
    return fleet;
  }

  describe("with four hosts behind two hops", () => {
    const events: FleetEvent[] = [];
    let fleet: Fleet;
    before(async () => {
      fleet = await Fleet.connect(router, hosts(4), {
        through: [host("one"), host("two")],
        onEvent: (event) => void events.push(event),
      });
    });
    after(() => fleet.close());

    it("connects hosts from the hops, works on them, and returns values, output and events", async () => {
      const onEvent = (event: FleetEvent): void => void events.push(event);
      const results = await fleet.run(remote.greet, ["you"], { onEvent }).all();
      assert.deepEqual(statuses(results), Array(4).fill("ok"));
      const vias = fleet.hosts.map(({ name }) => fleet.context(name)?.via as Context);
      assert.equal(new Set(vias).size, 2);
      assert.deepEqual([vias[2], vias[3]], [vias[0], vias[1]]);
      for (const { host, value, output } of results) {
        assert.equal(value, `you from ${await fleet.context(host)?.call(remote.pidThere)}`);
        assert.deepEqual(output?.split("\n").sort(), ["Hello, you", "to stderr"]);
      }
      const of = (name: string): string[] =>
        events.flatMap((event) => ("host" in event && event.host === name ? [event.type] : []));
      assert.deepEqual(of("h3"), ["connecting", "connected", "start", "output", "output"]);
      assert.deepEqual(of("one"), []);
      assert.equal(events.at(-1)?.type, "summary");
    });

    it("has output without a newline in the result", async () => {
      for (const { output } of await fleet.run(remote.printWithoutNewline, [false]).all())
        assert.deepEqual(output?.split("\n").sort(), ["1 %", "from the function, from a program"]);
    });

    it("runs commands, gathers facts, pings, and calls functions of the program", async () => {
      const events: FleetEvent[] = [];
      const script = "echo one; echo two >&2; exit 3";
      const onEvent = (event: FleetEvent): void => void events.push(event);
      const [failed] = await fleet.exec(script, { shell: true, onEvent }).all();
      const error = failed?.error as CommandError;
      assert.ok(error instanceof CommandError);
      assert.deepEqual(
        [error.exitCode, error.stdout, error.stderr, error.code],
        [3, "one", "two", "ERR_COMMAND"],
      );
      assert.match(error.message, /exit code 3: two$/);
      const lines = events.flatMap((e) =>
        e.type === "output" && e.host === "h1" ? [`${e.stream} ${e.text}`] : [],
      );
      assert.deepEqual(lines.sort(), ["stderr two", "stdout one"]);
      const [facts] = await fleet.facts().all();
      assert.equal(facts?.value?.user, userInfo().username);
      const [ping] = await fleet.ping().all();
      assert.ok((ping?.value ?? -1) >= 0);
      const each = await fleet.each((context) => context.call(remote.pidThere)).all();
      assert.deepEqual(statuses(each), Array(4).fill("ok"));
    });

    it("keeps batches and failure limits across hops", async () => {
      // Hosts of a batch begin as they connect, so a late one would be skipped.
      await fleet.ready;
      const order: string[] = [];
      const onEvent = (event: FleetEvent): void => {
        if (event.type === "start") order.push(event.host);
        if (event.type === "result") order.push(`${event.result.host} ${event.result.status}`);
      };
      const run = fleet.run(remote.failUntil, ["/nowhere/at/all", 1], {
        batch: ["1", "50%"],
        maxFail: 1,
        onEvent,
      });
      const results = await run.all();
      assert.deepEqual(statuses(results), ["failed", "failed", "failed", "skipped"]);
      assert.equal(order[1], "h0 failed");
      assert.match(String(results[0]?.error), /^CallError: Error: ENOENT/);
      assert.equal((results[0]?.error as MitogenError | undefined)?.code, "ENOENT");
      const [untravelling] = await fleet.run((() => 1) as never, []).all();
      assert.ok(untravelling?.error instanceof TypeError);
      assert.equal(untravelling.status, "failed");
    });
  });

  it("retries on hosts, connects lost hosts again, and ends work that takes too long", async (t) => {
    const folder = temporaryFolder(t);
    const fleet = await connect(hosts(1), [host("hop")]);
    const [tried] = await fleet.run(remote.failUntil, [join(folder, "tries"), 3], { retries: 2 }).all();
    assert.equal(tried?.value, 3);
    const [again] = await fleet.run(remote.dieOnce, [join(folder, "deaths")], { repeatable: true }).all();
    assert.equal(again?.value, "survived");
    const [late] = await fleet.run(remote.waitForEver, [], { timeoutMs: 300 }).all();
    assert.deepEqual(
      [late?.status, (late?.error as MitogenError | undefined)?.code],
      ["failed", "ERR_TIMEOUT"],
    );
    const [died] = await fleet.run(remote.die).all();
    assert.equal(died?.status, "unreachable");
    assert.deepEqual([...fleet.unreachable.keys()], ["h0"]);
    const [each] = await fleet.each((context) => context.call(remote.pidThere), { repeatable: true }).all();
    assert.equal(each?.status, "ok");
  });

  it("reports hosts as unreachable if their hop dies or cannot be reached, and no others", async () => {
    const fleet = await connect(hosts(4), [
      host("one"),
      host("two"),
      host("three", { exec: { command: ["false"] } }),
    ]);
    await fleet.ready;
    const run = fleet.run(remote.waitForEver);
    const results: HostResult[] = [];
    const reading = (async () => {
      for await (const result of run) {
        results.push(result);
        if (results.length === 3) return;
      }
    })();
    const hop = fleet.context("h0")?.via as Context;
    // A host that answers this call has begun the work.
    await fleet.context("h0")?.call(remote.pidThere);
    process.kill(await hop.call(remote.pidThere), "SIGKILL");
    await reading;
    assert.deepEqual(results.map(({ host, status }) => `${host} ${status}`).sort(), [
      "h0 unreachable",
      "h2 unreachable",
      "h3 unreachable",
    ]);
    for (const { host, error } of results) {
      const name = host === "h2" ? "three" : "one";
      assert.match(String(error), new RegExp(`Cannot reach ${host} through ${name}: .+`));
    }
    assert.deepEqual(statuses(await fleet.ping().all()), ["unreachable", "ok", "unreachable", "unreachable"]);
  });

  it("does not wait for a hung hop when the signal aborts, and gives up a hop that is silent for too long", async () => {
    const patient: Step = { local: { timeoutMs: 60_000 } };
    const fleet = await connect(
      [host("a", patient), host("b", patient)],
      [host("one", patient), host("two", patient)],
      { timeoutMs: 3000 },
    );
    await fleet.ready;
    const hop = fleet.context("a")?.via as Context;
    const pid = await hop.call(remote.pidThere);
    process.kill(pid, "SIGSTOP");
    const end = new AbortController();
    const pings: HostResult[] = [];
    for await (const result of fleet.ping({ signal: end.signal })) {
      pings.push(result);
      end.abort(new Error("enough"));
    }
    assert.deepEqual(
      pings.map(({ host, status }) => `${host} ${status}`),
      ["b ok", "a skipped"],
    );
    const [a, b] = await fleet.run(remote.pidThere).all();
    assert.deepEqual([a?.status, b?.status], ["unreachable", "ok"]);
    assert.match(String(a?.error), /Cannot reach a through one: .*: no answer within 3000 ms/);
    await fleet.close();
    assert.deepEqual(await processesGone([pid], 5000), []);
  });

  it("keeps hops that the program itself has connected, and ends the contexts that they started", async () => {
    const hop = await router.local();
    const fleet = await connect(hosts(1), [host("hop")], {
      connect: async ({ name }) => (name === "hop" ? hop : undefined),
    });
    const [first] = await fleet.run(remote.pidThere).all();
    await fleet.close();
    assert.equal(hop.isConnected, true);
    assert.deepEqual(await processesGone([first?.value as number], 5000), []);
    await hop.shutdown();
  });

  it("says which hosts a hop cannot reach, and names the hop; asks for passwords in the program, once", async () => {
    let asked = 0;
    const password = (): string => {
      asked += 1;
      throw new RangeError("no password today");
    };
    const step = { su: { username: "nobody", password } };
    const fleet = await connect(
      [
        host("fine"),
        host("gone", { exec: { command: ["false"] } }),
        host("wrong", { ssh: { hostname: "-x" } }),
        host("a", step),
        host("b", step),
      ],
      [host("hop")],
    );
    const results = await fleet.ping().all();
    assert.deepEqual(statuses(results), ["ok", ...Array(4).fill("unreachable")]);
    assert.ok(results[1]?.error instanceof StreamError);
    assert.match(results[1].error.message, /^hop: Cannot connect with exec\(\)/);
    assert.equal(results[1].error.details?.exitCode, 1);
    assert.match(String(results[2]?.error), /hostname must be/);
    assert.match(String(results[3]?.error), /no password today/);
    assert.equal(asked, 1);
    const answers = { "Code:": () => "1234", "Password:": password };
    const again = await connect([host("c", { su: { answers } }), host("fine")], [host("hop")]);
    assert.deepEqual(statuses(await again.ping().all()), ["unreachable", "ok"]);
    assert.match(String(again.unreachable.get("c")), /no password today/);
    assert.equal(asked, 2);
  });

  it("refuses an empty list of hops, and lists of which one fails while it waits for the other", async () => {
    await assert.rejects(connect([], []), /through must be a list of 1 or more hosts/);
    const failing = Promise.reject(new RangeError("no such hosts"));
    const pending = new Promise<Host[]>(() => undefined);
    await assert.rejects(Fleet.connect(router, failing, { through: pending }), /no such hosts/);
    await assert.rejects(Fleet.connect(router, pending, { through: failing }), /no such hosts/);
    await assert.rejects(Fleet.connect(router, failing, { concurrency: 0 }), /concurrency must be/);
  });

  describe("with ssh and old Nodes", { skip: skipReason() }, () => {
    it("works in a hop with Node 12, and behind a login", async () => {
      const fleet = await connect(
        [host("a", { local: { nodePath: nodes[12] as string } }), host("b")],
        [host("old", { local: { nodePath: nodes[12] as string } })],
      );
      assert.deepEqual(statuses(await fleet.run(remote.greet, ["x"]).all()), ["ok", "ok"]);
      assert.deepEqual(statuses(await fleet.exec("true").all()), ["ok", "ok"]);
      const login = await connect(hosts(2), [host("login", { ssh: sshTo("mitogen-dash") })]);
      const results = await login.exec(["id", "-un"]).all();
      assert.deepEqual(
        results.map(({ value }) => value?.stdout),
        ["mitogen-dash", "mitogen-dash"],
      );
    });
  });
});
