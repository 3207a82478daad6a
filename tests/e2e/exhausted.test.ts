import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync, writeFileSync } from "node:fs";
import os, { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type ConnectDetails, type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { isFull, sampleOf } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks();

type ConnectError = Error & { code: string; details: ConnectDetails };

/** Runs node after a line of shell, such as `ulimit -n 64`. */
function behind(script: string): string[] {
  return ["sh", "-c", `${script}; exec "$0" "$@"`, process.execPath];
}

async function failureOf(connect: Promise<unknown>): Promise<ConnectError> {
  return await connect.then(
    () => assert.fail("it connected"),
    (error) => error,
  );
}

describe("a program that runs out of descriptors", { skip: process.platform !== "linux" }, () => {
  it("gets the limit in the error of every connect, keeps its contexts, and shuts down", () => {
    const program = join(repoRoot, "tests/fixtures/programs/e2e/out-of-descriptors.mjs");
    const [limit, tried, atLeast] = isFull ? [96, 36, 10] : [64, 16, 4];
    const { status, stdout, stderr } = spawnSync(
      "sh",
      ["-c", `ulimit -n ${limit}; exec "$0" "$@"`, process.execPath, program, `${tried}`],
      { cwd: repoRoot, encoding: "utf8", env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
    );
    assert.deepEqual([status, stderr], [0, ""]);
    const said = Object.assign(
      {},
      ...stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    );
    assert.ok(said.connected > atLeast, `${said.connected} were connected`);
    assert.equal(said.connected + said.refused.length, tried);
    assert.ok(said.refused.length > atLeast, `${said.refused.length} were refused`);
    for (const message of [
      ...said.refused,
      said.thread,
      said.doas,
      said.inventory,
      said.runSsh,
      said.listen,
    ]) {
      assert.match(
        message,
        /^(StreamError|MitogenError|InventoryError): Cannot .*EMFILE.*descriptors: \d+ \(ulimit -n\)/,
      );
      assert.ok(message.includes(`: ${limit} (`), message);
    }
    assert.equal(said.answered, said.of);
    assert.equal(said.shutDown, true);
  });

  it("before its first connect gets the same error, and connects once descriptors are free", () => {
    const program = join(repoRoot, "tests/fixtures/programs/e2e/no-descriptors-at-first.mjs");
    const { status, stdout, stderr } = spawnSync(
      "sh",
      ["-c", 'ulimit -n 256; exec "$0" "$@"', process.execPath, program],
      { cwd: repoRoot, encoding: "utf8", env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
    );
    const lines = stdout.trim().split("\n");
    assert.deepEqual([status, stderr, ...lines.slice(-2)], [0, "", "connected", "shut down"]);
    // Failed attempts keep no descriptors.
    assert.ok(lines.length > 3 && lines.length < 20, stdout);
    // The first attempt may have no descriptor left to read the limit.
    for (const line of lines.slice(0, -2))
      assert.match(line, /EMFILE.*descriptors: (256|unknown) \(ulimit -n\)/);
  });

  it("gets the limit in the error of a command, which keeps no descriptors", () => {
    const program = join(repoRoot, "tests/fixtures/programs/e2e/command-without-descriptors.mjs");
    const { status, stdout, stderr } = spawnSync(
      "sh",
      ["-c", 'ulimit -n 64; exec "$0" "$@"', process.execPath, program],
      { cwd: repoRoot, encoding: "utf8", env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
    );
    const [error = "", left] = stdout.trim().split("\n");
    assert.deepEqual([status, stderr, left], [0, "", "4"]);
    assert.match(error, /^CommandError: Cannot run true in .*EMFILE.*descriptors: 64 \(ulimit -n\)/);
  });
});

describe("a hop that runs out of descriptors", { skip: process.platform !== "linux" }, () => {
  it("says so in the error of every connect through it, and lives on with the contexts behind it", async () => {
    await using router = new Router();
    const hop = await router.local({ name: "hop", nodePath: behind("ulimit -n 56") });
    const first = await router.local({ via: hop });
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => router.local({ via: hop })));
    const reasons = results
      .filter((each) => each.status === "rejected")
      .map(({ reason }) => reason as ConnectError);
    assert.ok(reasons.length > 5, `${reasons.length} were refused`);
    for (const { code, message } of reasons) {
      assert.equal(code, "ERR_STREAM");
      assert.match(message, /^hop: Cannot connect .*EMFILE.*descriptors: 56 \(ulimit -n\)/);
    }
    const threads: Context[] = [];
    let refusal: ConnectError | undefined;
    while (refusal === undefined) {
      await router.thread({ via: hop }).then(
        (thread) => threads.push(thread),
        (error) => {
          refusal = error;
        },
      );
    }
    assert.match(refusal.message, /^hop: Cannot connect with thread\(\): .*descriptors: 56 \(ulimit -n\)/);
    for (const context of [hop, first, ...threads])
      assert.equal(await context.call(os.hostname), os.hostname());
  });
});

describe("a broker thread that cannot start", { skip: process.platform !== "linux" }, () => {
  let router: Router;
  let hop: Context;
  before(async () => {
    router = new Router();
    hop = await router.local();
  });
  after(() => router.shutdown());

  const cases: [title: string, prelude: () => string, message: RegExp, said: RegExp][] = [
    [
      "for want of descriptors",
      () => "ulimit -n 24",
      /the limit on descriptors is too low there \(ulimit -n\)/,
      /EMFILE|uv_loop_init/,
    ],
    [
      "in a directory that was deleted",
      () => {
        const folder = mkdtempSync(join(tmpdir(), "mitogen-deleted-"));
        return `cd ${folder}; rmdir ${folder}`;
      },
      /the directory in which it was started no longer exists there/,
      /uv_cwd/,
    ],
  ];
  for (const [title, prelude, message, said] of cases) {
    it(`${title} fails the connect at once, with the reason`, async () => {
      for (const via of sampleOf(2, [undefined, hop])) {
        const error = await failureOf(router.local({ via, nodePath: behind(prelude()) }));
        assert.equal(error.code, "ERR_EOF");
        assert.match(error.message, message);
        assert.match(error.details.stderr, said);
        assert.equal(error.details.stage, "node");
      }
    });
  }

  it("for want of memory fails the connect, or the first call, with the reason", async () => {
    for (const via of sampleOf(2, [undefined, hop])) {
      const options = { via, nodePath: behind("ulimit -v 1000000") };
      // V8 reserves memory when it starts a thread, which may be after the context is ready.
      const error = await failureOf(
        router.local(options).then((context) => context.call(remote.echoLater, 1, 1_000_000)),
      );
      assert.match(error.message, /memory.*ulimit -v|ulimit -v.*memory/);
    }
  });

  it("is avoided when a hop's directory was deleted: the child starts in /", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mitogen-deleted-"));
    await hop.call(process.chdir, folder);
    rmdirSync(folder);
    const child = await router.local({ via: hop });
    assert.equal(await child.call(process.cwd), "/");
    assert.equal(await hop.call(os.hostname), os.hostname());
  });
});

it("a program whose preloaded module ends every thread gets an error from thread()", (t) => {
  const preloaded = join(temporaryFolder(t), "preloaded.cjs");
  writeFileSync(preloaded, 'if (!require("node:worker_threads").isMainThread) process.exit(3);');
  const program = `import("mitogen").then(async ({ Router }) => {
    const router = new Router();
    await router.thread().catch((error) => console.log(error.message));
    await router.shutdown();
  })`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--eval", program], {
    cwd: repoRoot,
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: `--require ${preloaded}` },
  });
  assert.deepEqual(
    [stdout, stderr],
    ["Cannot connect with thread(): the thread could not be started: it ended with exit code 3\n", ""],
  );
});
