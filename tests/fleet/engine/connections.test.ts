import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConnectingRouter } from "../../../src/connection/connecting-router.ts";
import { Connections } from "../../../src/fleet/engine/connections.ts";
import type { Host } from "../../../src/fleet/index.ts";
import { type Context, PasswordError, StreamError } from "../../../src/index.ts";
import { Deferred } from "../../../src/waiting/deferred.ts";

/** Keeps logins open until the test lets them go on. */
class HeldRouter {
  readonly contextId = 0;
  readonly logins: { readonly hostname: string; readonly done: Deferred<Context> }[] = [];

  ssh({ hostname }: { hostname: string }): Promise<Context> {
    const done = new Deferred<Context>();
    this.logins.push({ hostname, done });
    return done.promise;
  }

  waiting(hostname: string): number {
    return this.logins.filter((login) => login.hostname === hostname).length;
  }
}

const context = { isConnected: true, onDisconnect: () => () => undefined } as unknown as Context;

function connections(
  router: HeldRouter,
  options: { concurrency?: number; retries?: number } = {},
): Connections {
  return new Connections(router as unknown as ConnectingRouter, {
    concurrency: 100,
    retries: 0,
    ...options,
    onConnecting: () => undefined,
    onConnected: () => undefined,
  });
}

function host(hostname: string): Host {
  return { name: hostname, groups: [], vars: {}, steps: [{ ssh: { hostname } }] };
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("Connections", () => {
  it("has at most eight unfinished logins to one sshd, and delays no login to another", async () => {
    const router = new HeldRouter();
    const all = connections(router, { concurrency: 9 });
    const connects = Array.from({ length: 20 }, () => all.connect(host("busy")));
    await settle();
    assert.equal(router.waiting("busy"), 8);
    // The logins that wait do not count towards `concurrency`.
    const other = all.connect(host("other"));
    await settle();
    assert.equal(router.waiting("other"), 1);
    router.logins[0]?.done.resolve(context);
    await settle();
    assert.equal(router.waiting("busy"), 8 + 1);
    while (router.logins.length < 21) {
      for (const { done } of router.logins) done.resolve(context);
      await settle();
    }
    for (const { done } of router.logins) done.resolve(context);
    await Promise.all([...connects, other]);
  });

  it("ends a context that was there just before the fleet was closed", async () => {
    const router = new HeldRouter();
    const all = connections(router);
    const connecting = all.connect(host("late"));
    const refused = assert.rejects(connecting, /closed/);
    await settle();
    let isShutDown = false;
    const shutdown = async (): Promise<void> => {
      isShutDown = true;
    };
    router.logins[0]?.done.resolve({ ...context, shutdown } as unknown as Context);
    await all.close(new Error("closed"));
    await refused;
    assert.equal(isShutDown, true);
  });

  it("tries again only if that may help", async () => {
    const router = new HeldRouter();
    const all = connections(router, { retries: 1 });
    const wrong = all.connect(host("wrong"));
    await settle();
    router.logins[0]?.done.reject(new PasswordError("no"));
    await assert.rejects(wrong, PasswordError);
    const refused = all.connect(host("refused"));
    await settle();
    router.logins[1]?.done.reject(new StreamError("refused"));
    while (router.logins.length < 3) await settle();
    router.logins[2]?.done.reject(new StreamError("refused again"));
    await assert.rejects(refused, /refused again/);
    assert.equal(router.logins.length, 3);
  });
});
