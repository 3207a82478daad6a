/** Common values, such as results of Node's functions, arrive, or the error says what to do instead. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { CallError, type Context, Receiver, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/natural.ts";
import { targetsOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const targets = targetsOf([12, 16, 20, 24, 26]).filter((major) => nodes[major] !== undefined);

for (const major of targets.length > 0 ? targets : [0]) {
  describe(`natural values, ${major === 0 ? "this Node" : `Node ${major}`}`, () => {
    let router: Router;
    let context: Context;
    before(() => {
      router = new Router();
    });
    after(() => router.shutdown());

    it("a Stats and Dirents may be the first answers of a context without other modules", async () => {
      const options = major > 0 ? { nodePath: nodes[major] as string } : {};
      context = await router.local(options);
      const [stats, big, entries] = await Promise.all([
        context.call(fs.promises.stat, "/etc"),
        context.call(fs.statSync, "/etc", { bigint: true }),
        context.call(fs.promises.readdir, "/", { withFileTypes: true }),
      ]);
      const own = fs.statSync("/etc");
      assert.deepEqual(
        [stats.isDirectory, stats.isFile, stats.size, stats.mode, stats.mtime],
        [true, false, own.size, own.mode, own.mtime],
      );
      assert.deepEqual([big?.isDirectory, big?.size], [true, BigInt(own.size)]);
      const folders = entries.filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
      const ownEntries = fs.readdirSync("/", { withFileTypes: true });
      assert.deepEqual(
        folders.sort(),
        ownEntries
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => name)
          .sort(),
      );
    });

    it("a Stats and Dirents arrive inside other data from functions of the program", async () => {
      const { path, stats, entries } = (await context.call(remote.statsInside, "/etc")) as unknown as {
        path: string;
        stats: { isDirectory: boolean };
        entries: { name: string; isFile: boolean }[];
      };
      assert.deepEqual([path, stats.isDirectory], ["/etc", true]);
      assert.equal(entries.find(({ name }) => name === "passwd")?.isFile, true);
    });

    it("a folder can be read one entry after the other", async () => {
      let seen = 0;
      for await (const { name, isDirectory } of context.stream(fs.promises.opendir, "/")) {
        if (name === "etc" && isDirectory) seen++;
      }
      assert.equal(seen, 1);
    });

    it("process.env arrives as an object of its variables", async () => {
      const environment = await context.call(remote.environment);
      assert.equal(environment["PATH"], process.env["PATH"]);
    });

    it("a URL arrives as a URL on both sides", async () => {
      const url = new URL("https://user@example.org/a/b?q=1#h");
      const [same, other] = await context.call(remote.urls, url);
      assert.ok(same instanceof URL);
      assert.deepEqual([same.href, other?.href], [url.href, new URL("../other?x=ä", url).href]);
      assert.equal(await context.call(remote.pathOf, url), "/a/b");
      const hosts = await context.call(fs.promises.readFile, pathToFileURL("/etc/passwd"), "utf8");
      assert.equal(hosts, fs.readFileSync("/etc/passwd", "utf8"));
    });

    it("Node's errors keep their name, code and properties", async () => {
      const failureOf = async (what: Parameters<typeof remote.throwing>[0]) => {
        const error = await context.call(remote.throwing, what).then(
          () => assert.fail("it did not fail"),
          (thrown) => thrown,
        );
        assert.ok(error instanceof CallError);
        return error as CallError & { cause: Error & Record<string, unknown> };
      };
      const missing = await failureOf("errno");
      const { errno, syscall, path } = missing.cause;
      assert.deepEqual([missing.code, errno, syscall, path], ["ENOENT", -2, "open", "/nonexistent"]);
      const aborted = await failureOf("abort");
      assert.deepEqual([aborted.code, aborted.cause.name], ["ABORT_ERR", "AbortError"]);
      const assertion = await failureOf("assertion");
      assert.deepEqual(
        [assertion.cause.name, String(assertion.cause["actual"])],
        ["AssertionError", "http://a/"],
      );
      assert.equal(
        ((await failureOf("aggregate")).cause["stats"] as { isDirectory: boolean }).isDirectory,
        true,
      );
    });

    it("the error for a value that cannot be sent says what to do, for a result and for an argument", async () => {
      await assert.rejects(
        context.call(remote.generator as never),
        /Cannot send value: a generator is not serialisable; read it by context\.stream\(\)/,
      );
      await assert.rejects(
        context.call(remote.nameless),
        /an instance of a class without a name is not serialisable/,
      );
      await assert.rejects(
        context.call(remote.pathOf as never, new Receiver(router)),
        /an instance of class Receiver is not serialisable; pass its toSender\(\)/,
      );
      await assert.rejects(context.call(remote.pathOf as never, router), /takesRouter\(\)/);
      const { signal } = new AbortController();
      await assert.rejects(
        context.call(remote.pathOf as never, signal),
        /argument 0: an instance of class AbortSignal is not serialisable; call through context\.with\(\{ signal \}\)/,
      );
    });

    it("the error of a context without other modules says it too", async () => {
      const options = major > 0 ? { nodePath: nodes[major] as string } : {};
      const bare = await router.local(options);
      await assert.rejects(
        bare.call(fs.promises.opendir, "/"),
        /an instance of class Dir is not serialisable; read it by context\.stream/,
      );
      await bare.shutdown();
    });
  });
}
