import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { Fleet, type FleetEvent, type Host, type HostResult } from "../../src/fleet/index.ts";
import { type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/fleet.ts";
import { lie } from "../fixtures/remote/lying-hop.ts";
import { sampleOf, takesLong } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild|^$/ });

function host(name: string): Host {
  return { name, groups: [], vars: {}, steps: [{ local: {} }] };
}

describe("Fleet through a hop that lies", () => {
  let router: Router;
  let honest: Context;
  let liar: Context;
  before(async () => {
    router = new Router();
    [honest, liar] = await Promise.all([router.local(), router.local()]);
  });
  afterEach(() => assert.ok(liar.isConnected));
  after(() => router.shutdown());

  /** The results of a run behind a hop that tells this lie. Asserts that a host behind another hop is well. */
  async function told(
    kind: string,
    ...more: Host[]
  ): Promise<{ lied: HostResult; second: HostResult | undefined; events: FleetEvent[] }> {
    const events: FleetEvent[] = [];
    const onEvent = (event: FleetEvent): void => void events.push(event);
    await liar.call(lie, kind);
    const fleet = await Fleet.connect(router, [host("a"), host("other"), ...more], {
      onEvent,
      through: [host("liar"), host("honest")],
      connect: async ({ name }) => (name === "liar" ? liar : honest),
    });
    try {
      const results = await fleet.run(remote.greet, ["you"], { timeoutMs: 60_000, onEvent }).all();
      assert.deepEqual(
        results.map((each) => each.host),
        ["a", "other", ...more.map(({ name }) => name)],
      );
      const [each] = await fleet.each((context) => context.call(remote.pidThere)).all();
      if (each?.status !== "ok") assert.doesNotMatch(String(each?.error), /undefined|null/);
      const [lied, other, second] = results as [HostResult, HostResult, HostResult?];
      assert.equal(other.status, "ok", String(other.error));
      return { lied, second, events };
    } finally {
      await fleet.close();
    }
  }

  for (const kind of sampleOf(3, ["results twice, and late events", "honest", "results of another host"])) {
    it(`is not disturbed by: ${kind}`, async () => {
      const { lied } = await told(kind);
      assert.equal(lied.status, "ok", String(lied.error));
    });
  }

  for (const kind of sampleOf(3, [
    "a result that is none",
    "an answer that is no Sender",
    "connected, of a host that is not its",
    "an event that is none",
    "something else",
    "settled without a connection",
  ])) {
    it(`gives up the hop after: ${kind}`, async () => {
      const { lied } = await told(kind);
      assert.equal(lied.status, "unreachable");
      assert.match(
        String(lied.error),
        /Cannot reach a through liar: .*something other than events and results/,
      );
    });
  }

  it("loses no other host when one is gone as soon as it is connected", async () => {
    const { lied, second } = await told("connected, with a context that is gone", host("b"));
    assert.match(String(lied.error), /lost as soon as it was there/);
    assert.deepEqual([lied.status, second?.status], ["unreachable", "ok"]);
  });

  it("accepts no context that is not behind the hop", async () => {
    const { lied } = await told("connected, with the program's own context");
    assert.equal(lied.status, "unreachable");
  });

  it("reports a connect once, however often the hop reports it", { skip: takesLong }, async () => {
    const { lied, events } = await told("connected a thousand times");
    assert.equal(lied.status, "ok");
    const connected = events.filter((event) => event.type === "connected" && event.host === "a");
    assert.equal(connected.length, 1);
  });

  it("leaves no listener at a context that is not its own", async () => {
    const listeners = (): number => honest.goneListeners?.size ?? 0;
    const before = listeners();
    const fleet = await Fleet.connect(router, [host("a")], { connect: async () => honest });
    await fleet.ready;
    assert.equal(listeners(), before + 1);
    await fleet.close();
    assert.equal(listeners(), before);
  });

  it("does not wait for a hop that answers, but reports nothing about its connects", async () => {
    await liar.call(lie, "nothing of connects");
    const slow = { ...host("a"), steps: [{ local: { timeoutMs: 1 } }] };
    const fleet = await Fleet.connect(router, [slow, host("other")], {
      through: [host("liar"), host("honest")],
      connect: async ({ name }) => (name === "liar" ? liar : undefined),
    });
    const [lied, other] = await fleet.run(remote.greet, ["you"]).all();
    assert.equal(lied?.status, "unreachable");
    assert.match(
      String(lied.error),
      /^TimeoutError: Cannot reach a through liar: liar answers, but has reported nothing about its connects for 15004 ms; use another host/,
    );
    assert.equal(other?.status, "ok", String(other?.error));
    await fleet.ready;
    await fleet.close();
  });

  it("fails a host whose result never comes, some time after its timeout", async () => {
    await liar.call(lie, "no result");
    const fleet = await Fleet.connect(router, [host("a")], {
      through: [host("liar")],
      connect: async () => liar,
    });
    const [result] = await fleet.run(remote.greet, ["you"], { timeoutMs: 1 }).all();
    assert.equal(result?.status, "failed");
    assert.match(String(result.error), /TimeoutError: Cannot work on a/);
    await fleet.close();
  });
});
