/** With a low `maxMessageBytes` only what is too large fails or is cut. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Context, getFile, putFile, Receiver, Router, run } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as streams from "../fixtures/remote/streams.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const LIMIT = 1024 * 1024;
const tooLarge = /RangeError: Cannot send .*: the message would be larger than 1048576 bytes/;

const targets: [string, string | undefined][] = [["this Node", undefined]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"]]);

for (const [version, nodePath] of targets) {
  describe(`a router with a limit of 1 MiB, on ${version}`, () => {
    const logs = collectLogs("info");
    let router: Router;
    let hop: Context;
    let context: Context;
    before(async () => {
      router = new Router(undefined, { maxMessageBytes: LIMIT });
      hop = await router.local({ nodePath });
      context = await router.local({ via: hop, nodePath });
    });
    after(async () => {
      logs.stop();
      await router.shutdown();
    });

    it("rejects a stream whose value is too large", async () => {
      const read = async (): Promise<void> => {
        for await (const value of context.stream(streams.chunksOf, LIMIT)) assert.fail(`got ${value.length}`);
      };
      await assert.rejects(read, tooLarge);
    });

    it("rejects a send that is too large, and the sender goes on", async () => {
      const receiver = new Receiver<Uint8Array>(router, { respondent: context });
      const done = context.call(withMitogen.sendTooMuch, receiver.toSender(), LIMIT);
      assert.deepEqual((await receiver.get()).decode(), new Uint8Array([1]));
      await assert.rejects(receiver.get(), /was closed/);
      assert.match(await done, tooLarge);
    });

    it("refuses a callNoReply that is too large at once, because nobody would learn of it later", () => {
      assert.throws(() => context.callNoReply(remote.add, Buffer.alloc(LIMIT) as never, 1), tooLarge);
      const bound = context.with({ timeoutMs: 10_000 });
      assert.throws(() => bound.callNoReply(remote.add, Buffer.alloc(LIMIT) as never, 1), tooLarge);
    });

    it("runs commands and copies files of any size", async (t) => {
      const { stdout } = await run(context, ["cat"], { input: "x".repeat(3 * LIMIT) });
      assert.equal(stdout.length, 3 * LIMIT);
      const folder = temporaryFolder(t);
      const [there, back] = [join(folder, "there"), join(folder, "back")];
      await putFile(context, there, Buffer.alloc(3 * LIMIT, "x"));
      await getFile(context, there, back);
      assert.equal(readFileSync(back, "utf8"), stdout);
    });

    it("logs the beginning of a line that is too long, and the lines around it", async () => {
      await context.call(remote.printRows, 2 * LIMIT, 2_000);
      const long = `${"y".repeat(16_384)}… [${2 * LIMIT - 16_384} characters more]`;
      const short = Array.from({ length: 2_000 }, (_, n) => `${n}`);
      await logs.until(() => logs.lines("stdout", context.name).length > short.length);
      assert.deepEqual(logs.lines("stdout", context.name), [long, ...short]);
      assert.equal(await context.call(remote.add, 1, 1), 2);
    });
  });
}
