import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChannelError, type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { sampleOf } from "../support/extent.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** The time in which a parent ends its processes, as docs/protocol.md promises. */
const GRACE_MS = 5000;
/** More time for a busy machine. */
const SLACK_MS = 5000;

const pidOf = (context: Context): Promise<number> => context.call(remote.pid);

async function timed(work: Promise<unknown>): Promise<number> {
  const started = Date.now();
  await work;
  return Date.now() - started;
}

describe("shutdown of a context", () => {
  it("ends the contexts below it first: their last words arrive, and the calls that wait for them fail", async () => {
    const logs = collectLogs("info");
    await using router = new Router();
    const top = await router.local();
    const middle = await router.local({ via: top });
    const bottom = await router.local({ via: middle });
    // For a context behind another this does nothing.
    await router.disconnect(bottom);
    const pids = await Promise.all([top, middle, bottom].map(pidOf));
    for (const context of [bottom, middle, top]) await context.call(remote.printUnterminated, "last words");
    const call = bottom.call(remote.echoLater, 1, 60_000).catch((error) => error);
    await bottom.ping();
    await top.shutdown();
    assert.ok((await call) instanceof ChannelError);
    for (const context of [top, middle, bottom]) {
      assert.deepEqual(logs.lines("stdout", context.name), ["last words"], context.name);
      assert.notEqual(context.goneReason, undefined);
    }
    assert.deepEqual(await processesGone(pids, 0), []);
    logs.stop();
  });
});

describe("shutdown of a router", () => {
  const wrapped = ["sh", "-c", `trap '' TERM; "$@"; sleep 100`, "sh", process.execPath];
  const stubborn: [title: string, connect: (router: Router) => Promise<Context>][] = [
    ["hangs in a function", (router) => router.local()],
    ["hangs two levels below", async (router) => router.local({ via: await router.local() })],
    ["has a shell around it that ignores SIGTERM", (router) => router.local({ nodePath: wrapped })],
  ];
  for (const [title, connect] of sampleOf(2, stubborn)) {
    it(`ends a child that ignores SIGTERM and ${title}, within its grace`, async () => {
      const router = new Router();
      const context = await connect(router);
      const pid = await pidOf(context);
      await context.call(remote.ignoreSigterm);
      const hung = context.call(remote.hang).catch((error) => error);
      const ms = await timed(router.shutdown());
      assert.ok(ms <= GRACE_MS + SLACK_MS, `${ms} ms`);
      assert.ok((await hung) instanceof ChannelError);
      assert.deepEqual(await processesGone([pid], 0), []);
    });
  }
});

describe("shutdown of a router that starts a thread", () => {
  it("waits until the thread has ended, and leaves no timer", async () => {
    const clocks = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = clocks();
    const router = new Router();
    const starting = router.thread().catch((error) => error);
    await router.shutdown();
    assert.equal((await starting).code, "ERR_CANCELLED");
    assert.equal(clocks(), before);
  });
});
