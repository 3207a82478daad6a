/** Whoever fills a link that does not drain is stopped, and others go on. */
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, it } from "node:test";
import { type Context, Router } from "../../src/index.ts";
import * as bulk from "../fixtures/remote/bulk-messages.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { isFull, isQuick, takesLong } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { noPeakMemory, PeakMemory } from "../support/peak-memory.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MIB = 1024 * 1024;
/** The most bytes that may wait for a child that does not read, with those that were on their way when it was stopped. */
const MAX_QUEUED = 64 * MIB;
/** The same in MiB, measured as the growth of a process that also does other things. */
const MAX_GROWTH = 192;
/** More than links can hold. */
const BULK_MIB = isFull ? 48 : isQuick ? 8 : 16;

const DEAF = resolve("tests/fixtures/programs/e2e/deaf-child.mjs");
const deaf = (router: Router, what: string, via?: Context): Promise<Context> =>
  router.exec({ command: [process.execPath, DEAF, what], ...(via === undefined ? {} : { via }) });

for (const what of ["echo", "ask", "credit"]) {
  describe(`a child that floods (${what}) and does not read`, { skip: noPeakMemory }, () => {
    it("is stopped by the program, which goes on with others", {
      skip: what !== "echo" && takesLong,
    }, async () => {
      await using router = new Router();
      const logs = collectLogs("info");
      try {
        const other = await router.local();
        await other.call(remote.add, 1, 1);
        const memory = new PeakMemory([process.pid]);
        const child = await deaf(router, what);
        await logs.until(() => said(logs, what) !== undefined);
        assert.equal(said(logs, what), "held up");
        assert.equal(await other.call(remote.add, 1, 2), 3);
        await other.ping();
        const queuedBytes = child.describe().link?.queuedBytes ?? 0;
        assert.ok(queuedBytes < MAX_QUEUED, `${queuedBytes} bytes wait for it`);
        const [growth = 0] = memory.growth();
        assert.ok(growth < MAX_GROWTH, `the program has grown by ${growth} MiB`);
      } finally {
        logs.stop();
      }
    });

    it("is stopped by the hop that started it, which goes on with others", {
      skip: what !== "echo" && takesLong,
    }, async () => {
      await using router = new Router();
      const logs = collectLogs("info");
      try {
        const hop = await router.local();
        const sibling = await router.local({ via: hop });
        await sibling.call(remote.add, 1, 1);
        const memory = new PeakMemory([process.pid, await hop.call(remote.pid)]);
        const child = await deaf(router, what, hop);
        await logs.until(() => said(logs, what) !== undefined);
        assert.equal(said(logs, what), "held up");
        assert.equal(await sibling.call(remote.add, 1, 2), 3);
        assert.equal(await hop.call(remote.add, 1, 3), 4);
        await Promise.all([hop.ping(), sibling.ping()]);
        const growth = memory.growth();
        assert.ok(Math.max(...growth) < MAX_GROWTH, `program and hop have grown by ${growth} MiB`);
        // It can be shut down like any other.
        await child.shutdown();
        assert.equal(await sibling.call(remote.add, 2, 3), 5);
      } finally {
        logs.stop();
      }
    });
  });
}

/** Returns what the child has logged about its flood. */
function said(logs: ReturnType<typeof collectLogs>, what: string): string | undefined {
  const found = logs.records.find(({ message }) => new RegExp(`${what}: (held up|through)$`).test(message));
  return found?.message.slice(found.message.lastIndexOf(": ") + 2);
}

it("a child that reads nothing is given up, however much it sends", async () => {
  await using router = new Router(undefined, { keepaliveMs: 300 });
  const child = await deaf(router, "echo");
  const waiting = child.call(remote.add, 1, 1);
  await assert.rejects(waiting, /has read none of \d+ bytes for 900 ms/);
});

describe("contexts that send each other more than links hold at the same time receive all of it:", () => {
  const trees: [title: string, grow: (router: Router) => Promise<[Context, Context]>][] = [
    ["siblings", async (router) => [await router.local(), await router.local()]],
    [
      "cousins",
      async (router) => {
        const [left, right] = [await router.local(), await router.local()];
        return [await router.local({ via: left }), await router.local({ via: right })];
      },
    ],
    [
      "siblings behind a hop",
      async (router) => {
        const hop = await router.local();
        return [await router.local({ via: hop }), await router.local({ via: hop })];
      },
    ],
  ];
  for (const [title, grow] of trees) {
    it(title, { skip: title === "cousins" && takesLong }, async () => {
      await using router = new Router();
      const [one, other] = await grow(router);
      const [oneHandle, otherHandle] = await Promise.all([
        one.call(bulk.openCounter),
        other.call(bulk.openCounter),
      ]);
      await Promise.all([
        one.call(bulk.sendBulk, other.contextId, otherHandle, BULK_MIB),
        other.call(bulk.sendBulk, one.contextId, oneHandle, BULK_MIB),
      ]);
      const received = await Promise.all([
        one.call(bulk.waitForBulk, BULK_MIB * MIB),
        other.call(bulk.waitForBulk, BULK_MIB * MIB),
      ]);
      assert.deepEqual(received, [BULK_MIB * MIB, BULK_MIB * MIB]);
    });
  }
});
