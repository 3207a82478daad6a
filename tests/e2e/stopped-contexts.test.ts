/** Calls of a context that does not read wait, and run in their order when it reads again. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as notes from "../fixtures/remote/notes.ts";
import { isFull, isQuick } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const CALLS = isFull ? 5_000 : isQuick ? 500 : 1_500;
/** One in so many calls has an argument and an answer that are sent in parts. */
const LARGE_EVERY = 250;
const LARGE_BYTES = 200 * 1024;
/** The most bytes that a call takes besides its argument. */
const CALL_BYTES = 300;
const MESSAGES = 40;
const MESSAGE_BYTES = 64 * 1024;
/** What a Sender may have on its way: docs/protocol.md#flow-control. */
const WINDOW_BYTES = 64 * 1024 + 1024 * 1024;

const targets: [string, string | undefined][] = [["this Node", undefined]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"]]);

for (const [version, nodePath] of targets) {
  describe(`a burst of ${CALLS} calls, on ${version}`, { timeout: 300_000 }, () => {
    let router: Router;
    let hop: Context;
    let target: Context;
    let other: Context;
    before(async () => {
      router = new Router();
      [hop, other] = await Promise.all([router.local({ nodePath }), router.local()]);
      target = await router.local({ via: hop, nodePath });
    });
    after(() => router.shutdown());

    it("waits for a context that is stopped", () => stopAndCall(hop, hop));
    it("waits for a stopped context behind a hop", () => stopAndCall(target, target));
    it("waits for a stopped hop on the way", () => stopAndCall(hop, target));

    async function stopAndCall(stopped: Context, called: Context): Promise<void> {
      const to = await called.call(notes.openNotes);
      await called.call(notes.note, 0);
      assert.deepEqual(await called.call(notes.takeNotes), [0]);
      const pid = await stopped.call(remote.pid);
      process.kill(pid, "SIGSTOP");
      await untilStopped(pid);
      const order: number[] = [];
      const calls = Array.from({ length: CALLS }, async (_, n) => {
        const bytes = n % LARGE_EVERY === 0 ? Buffer.alloc(LARGE_BYTES, `${n}:`) : undefined;
        const [answer, echo] = await called.call(notes.note, n, bytes);
        order.push(answer);
        assert.ok(bytes === undefined ? echo === undefined : bytes.equals(echo as Uint8Array));
      });
      let sent = 0;
      const sending = Array.from({ length: MESSAGES }, async (_, n) => {
        await to.send([n, Buffer.alloc(MESSAGE_BYTES)]);
        sent += 1;
      });
      // Other contexts answer, and these calls get no answer.
      for (let i = 0; i < 10; i++) assert.equal(await other.call(remote.add, i, 1), i + 1);
      assert.equal(order.length, 0);
      // All calls of the program are kept, but of a Sender's messages only as many as may be unread.
      const asked = CALLS * CALL_BYTES + (CALLS / LARGE_EVERY) * LARGE_BYTES;
      const { queuedBytes = Number.NaN } = called.describe().link ?? {};
      assert.ok(queuedBytes < asked + WINDOW_BYTES, `${queuedBytes} bytes wait`);
      assert.ok(sent * MESSAGE_BYTES <= WINDOW_BYTES, `${sent} messages have left`);

      process.kill(pid, "SIGCONT");
      await Promise.all(calls);
      const all = Array.from({ length: CALLS }, (_, n) => n);
      assert.deepEqual(order, all);
      assert.deepEqual(await called.call(notes.takeNotes), all);
      await Promise.all(sending);
      to.close();
      assert.deepEqual(await called.call(notes.messageNotes), all.slice(0, MESSAGES));
      while ((called.describe().link?.queuedBytes ?? 0) > 0) await turn();
    }
  });
}

/** Polls, because the kernel tells only a parent that asks, and Node does not ask. */
async function untilStopped(pid: number): Promise<void> {
  const state = (): string => {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2)[0] as string;
  };
  while (state() !== "T") await turn();
}
