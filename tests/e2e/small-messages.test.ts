/** With a low `maxMessageBytes` only what is too large fails or is cut. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Context, getFile, putFile, Receiver, Router, run, runSsh } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as streams from "../fixtures/remote/streams.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { type CollectedLogs, collectLogs } from "../support/collect-logs.ts";
import { needs } from "../support/file-trees.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const LIMIT = 65_536;
const tooLarge = /RangeError: Cannot send .*: the message would be larger than 65536 bytes/;

const targets: [string, string | undefined][] = [["this Node", undefined]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"]]);

describe("a thread of a router with a limit of 64 KiB", () => {
  it("logs many lines in several messages, and the beginning of a line that is too long", async () => {
    await using router = new Router(undefined, { maxMessageBytes: LIMIT });
    const logs = collectLogs("info");
    const thread = await router.thread();
    await thread.call(remote.printRows, 2_000, 70);
    await thread.call(remote.printRows, 1, 200_000);
    logs.stop();
    const many = Array.from({ length: 2_000 }, (_, n) => `${n} `.padEnd(70, "-"));
    const long = `${"0 ".padEnd(16_384, "-")}… [${200_000 - 16_384} characters more]`;
    assert.deepEqual(logs.lines("stdout", thread.name), [...many, long]);
  });
});

for (const [version, nodePath] of targets) {
  describe(`a router with a limit of 64 KiB, on ${version}`, () => {
    let logs: CollectedLogs;
    let router: Router;
    let hop: Context;
    let context: Context;
    before(async () => {
      logs = collectLogs("info");
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

    it("rejects with the error of a function, without those of its properties that are too large", async () => {
      const failed = async (call: Promise<unknown>): Promise<Error & { code: string; stdout: string }> =>
        await call.then(
          () => assert.fail("it did not fail"),
          (error) => error,
        );
      const gap = "[not sent: the message would be larger than 65536 bytes]";
      const { message, stack, code, stdout } = await failed(context.call(remote.throwBig, 2, LIMIT));
      assert.deepEqual([message, code, stdout], ["BigError: xx", "EBIG", gap]);
      assert.match(stack as string, /^CallError: BigError: xx\n +at throwBig .*functions\.[jt]s/);
      const long = await failed(context.call(remote.throwBig, 3 * LIMIT, 0));
      assert.match(long.message, /^BigError: x+… \[180234 characters more\]$/);
      assert.match(long.stack as string, /x… \[180\d+ characters more\]\n +at throwBig .*functions\.[jt]s/);
    });

    it("runs commands and copies files of any size", async (t) => {
      const { stdout } = await run(context, ["cat"], { input: "x".repeat(20 * LIMIT) });
      assert.equal(stdout.length, 20 * LIMIT);
      const folder = temporaryFolder(t);
      const [there, back] = [join(folder, "there"), join(folder, "back")];
      await putFile(context, there, Buffer.alloc(20 * LIMIT, "x"));
      await getFile(context, there, back);
      assert.equal(readFileSync(back, "utf8"), stdout);
    });

    it("copies files with scp", { skip: needs("scp") }, async (t) => {
      const folder = temporaryFolder(t);
      const [here, there, back] = ["here", "there", "back"].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      writeFileSync(here, "x".repeat(20 * LIMIT));
      for (const argv of [
        ["scp", "-q", here, `any:${there}`],
        ["scp", "-q", `any:${there}`, back],
      ]) {
        const { code, stderr } = await runSsh(context, argv);
        assert.deepEqual([code, stderr], [0, ""]);
      }
      assert.deepEqual(readFileSync(back), readFileSync(here));
    });

    it("logs many lines in several messages, and the beginning of a line that is too long", async () => {
      await context.call(remote.printRows, 2_000, 70);
      await context.call(remote.printRows, 1, 200_000);
      await context.call(withMitogen.logLong, "€", 200_000);
      await context.call(remote.print, "the end");
      await logs.until(() => logs.lines("stdout", context.name).includes("the end"));
      const many = Array.from({ length: 2_000 }, (_, n) => `${n} `.padEnd(70, "-"));
      const long = `${"0 ".padEnd(16_384, "-")}… [${200_000 - 16_384} characters more]`;
      assert.deepEqual(logs.lines("stdout", context.name), [...many, long, "the end"]);
      const cut = `${"€".repeat(16_384)}… [${200_000 - 16_384} characters more]`;
      assert.deepEqual(logs.lines("app.remote", context.name), [cut]);
      assert.equal(await context.call(remote.add, 1, 1), 2);
    });
  });
}
