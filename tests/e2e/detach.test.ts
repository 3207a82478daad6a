import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ChannelError, type Context, Router } from "../../src/index.ts";
import * as daemon from "../fixtures/remote/daemon.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as parents from "../fixtures/remote/parents.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { isQuick, takesLong } from "../support/extent.ts";
import { lab, nodes, skipReason } from "../support/lab.ts";
import { part } from "../support/lab-methods.ts";
import { checkLeaks, descendants, isReaper, processesGone } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** How long a busy machine may take. */
const PATIENCE_MS = 15_000;

let folder = "";
let heart = "";
/** Pids that are ended after each test, whatever happened. */
let detached: number[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mitogen-detach-"));
  heart = join(folder, "heart");
  detached = [];
});
afterEach(async () => {
  for (const pid of detached) {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      // The process has already ended.
    }
  }
  const left = await processesGone(detached, 5000);
  for (const pid of left) process.kill(pid, "SIGKILL");
  rmSync(folder, { recursive: true });
  assert.deepEqual(left, [], "SIGTERM ends a detached context");
});

async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, `${what} did not happen`);
    await pause(10);
  }
}

/** Waits until the detached context has written to its file again. */
async function beats(): Promise<void> {
  await until(() => existsSync(heart), "the first sign of life");
  const { size } = statSync(heart);
  await until(() => statSync(heart).size > size, "another beat");
}

function report(): unknown {
  return JSON.parse(readFileSync(heart, "utf8").split("\n")[0] as string);
}

async function failure(call: Promise<unknown>): Promise<Error> {
  return await call.then(
    () => assert.fail("it was answered"),
    (error) => error as Error,
  );
}

/** Detaches `context`, and checks that the caller and those who wait learn of it. */
async function letGo(context: Context, lines = 0): Promise<number> {
  const pid = await context.call(remote.pid);
  detached.push(pid);
  const error = await failure(context.call(daemon.detachAndBeat, heart, lines));
  assert.ok(error instanceof ChannelError, String(error));
  assert.equal(error.message, `${context.name.split(".").slice(-1)}: was detached`);
  await context.disconnected;
  await assert.rejects(context.call(remote.pid), ChannelError);
  return pid;
}

const targets: [string, string | undefined][] = [["this Node", undefined]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"]]);

for (const [version, nodePath] of targets) {
  describe(`detach(), ${version}`, () => {
    it("sends what the context has printed, and lets it live on when the program's router is shut down", async () => {
      const logs = collectLogs("info");
      const router = new Router();
      const context = await router.local({ name: "free", nodePath });
      const pid = await letGo(context, 5000);
      const lines = logs.lines("stdout", "free");
      assert.deepEqual([lines.length, lines[5000]], [5001, "and half a line"]);
      logs.stop();
      await beats();
      const started = Date.now();
      await router.shutdown();
      assert.ok(Date.now() - started < 2000, "shutdown does not wait for it");
      await beats();
      assert.deepEqual(report(), {
        parentIds: [],
        unreachable: "Context 1 was detached",
        isSame: true,
      });
      assert.deepEqual(descendants(process.pid).includes(pid), false, "it is nobody's child");
      for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT"] as const) process.kill(pid, signal);
      await beats();
    });

    it("keeps the contexts below it, and lets it start more", async () => {
      await using router = new Router();
      const context = await router.local({ name: "free", nodePath });
      const pid = await context.call(remote.pid);
      detached.push(pid);
      await failure(context.call(daemon.detachWithChild, heart));
      await beats();
      await router.shutdown();
      await beats();
      const { childPid, ...rest } = report() as { childPid: number };
      assert.deepEqual(rest, { sum: 5, hasLater: true });
      process.kill(pid, "SIGTERM");
      assert.deepEqual(await processesGone([pid, childPid], 5000), [], "and they end together");
    });

    it("keeps contexts that are still connecting", async () => {
      await using router = new Router();
      const context = await router.local({ nodePath });
      const pid = await context.call(remote.pid);
      detached.push(pid);
      const count = isQuick ? 1 : 2;
      await failure(context.call(daemon.detachWhileConnecting, heart, count));
      await beats();
      assert.deepEqual(report(), [2 * count, 2 * count]);
    });

    it("ends the detached context's waits for contexts elsewhere", async () => {
      await using router = new Router();
      const [context, sibling] = [await router.local({ nodePath }), await router.local()];
      detached.push(await context.call(remote.pid));
      const silent = router.addHandler(() => undefined);
      const { handle } = await sibling.call(parents.openNumbers);
      await failure(context.call(daemon.detachWhileWaiting, heart, sibling, handle, silent));
      await beats();
      assert.deepEqual(report(), Array(2).fill(`Context ${context.contextId} was detached`));
    });

    it("ends waits for the program in the contexts below", { skip: takesLong }, async () => {
      await using router = new Router();
      const context = await router.local({ nodePath });
      detached.push(await context.call(remote.pid));
      const silent = router.addHandler(() => undefined);
      await failure(context.call(daemon.detachWhileOthersWait, heart, silent));
      await beats();
      assert.deepEqual(report(), Array(2).fill(`Context ${context.contextId} was detached`));
    });

    it("may be followed by the end of the process, by process.exit() or an error", async () => {
      await using router = new Router();
      for (const isThrown of [false, true]) {
        const context = await router.local({ nodePath });
        const pid = await context.call(remote.pid);
        const started = Date.now();
        if (isThrown) await failure(context.call(daemon.detachThenThrow));
        else await failure(context.call(daemon.detachAndExit, heart));
        assert.deepEqual(await processesGone([pid], 5000), []);
        assert.ok(Date.now() - started < 5000);
      }
      assert.equal(readFileSync(heart, "utf8"), "exited\n");
    });
  });
}

describe("the parent of a detached context", () => {
  it("lets go only its own child processes, and each once", async () => {
    await using router = new Router();
    const logs = collectLogs();
    const thread = await router.thread();
    assert.match(await thread.call(daemon.tryToDetach), /^Cannot detach: this context is a thread/);
    assert.ok(await thread.call(daemon.failToDetachTwice), "a refused detach may be tried again");
    assert.match(await thread.call(daemon.askToLetGo), /: it is not a child process of this one$/);
    const hop = await router.local();
    const below = await router.local({ via: hop });
    assert.match(await below.call(daemon.askToLetGo), /: it is not a child process of this one$/);
    // A context that asks to be let go and then stays is still served, and nobody waits for its end.
    assert.equal(await hop.call(daemon.askToLetGo), "answered");
    assert.match(await hop.call(daemon.askToLetGo), /: it has been detached before$/);
    assert.match(
      await hop.call(daemon.tryToDetach),
      /^Cannot detach context 2: it has been detached before$/,
    );
    assert.equal(await hop.call(daemon.ignoredSignals), 0, "a refusal changes nothing");
    assert.equal(await below.call(remote.add, 1, 1), 2);
    const warnings = logs.records.filter(({ level }) => level === "warning");
    assert.equal(
      warnings.filter(({ message }) => /^Refused to detach context \d+: /.test(message)).length,
      4,
    );
    logs.stop();
    const pids = await Promise.all([hop, below].map((context) => context.call(remote.pid)));
    await router.shutdown();
    assert.deepEqual(await processesGone(pids, 5000), []);
  });

  it("may be a context: a grandchild outlives it and the program", async () => {
    const router = new Router();
    const hop = await router.local({ name: "hop" });
    const free = await hop.call(parents.startLocal, { name: "free" });
    const pid = await letGo(free);
    const hopPid = await hop.call(remote.pid);
    await hop.shutdown();
    assert.deepEqual(await processesGone([hopPid], 5000), []);
    await beats();
    await router.shutdown();
    await beats();
    assert.deepEqual(await processesGone([pid], 0), [pid]);
  });

  it("may be killed without harm to the detached context", async () => {
    const program = runProgram("e2e/detaching.mjs", { env: { MITOGEN_TEST_HEART: heart } });
    detached.push(Number(await program.line()));
    await beats();
    program.process.kill("SIGKILL");
    await program.ended;
    await beats();
  });

  it("may be a program that returns", { skip: takesLong }, async () => {
    const program = runProgram("e2e/detaching.mjs", { env: { MITOGEN_TEST_HEART: `${heart} return` } });
    detached.push(Number(await program.line()));
    assert.equal((await program.ended).code, 0);
    await beats();
  });

  it("reaps ssh and sudo while the contexts live on", { skip: skipReason() }, async () => {
    await using router = new Router();
    const ways: (() => Promise<Context>)[] = [
      () =>
        router.sudo({
          username: "mitogen-target",
          nodePath: lab()?.node,
          sudoPath: part("become").tools.sudo,
        }),
      () => router.ssh(sshTo("mitogen-dash", { name: "there" })),
    ];
    for (const connect of ways) {
      const context = await connect();
      heart = join("/tmp", `mitogen-heart-${process.pid}-${context.contextId}`);
      const tools = (): number => descendants(process.pid).filter((pid) => !isReaper(pid)).length;
      const before = tools();
      const pid = await context.call(remote.pid);
      detached.push(pid);
      assert.ok((await failure(context.call(daemon.detachAndBeat, heart))) instanceof ChannelError);
      await beats();
      await until(() => tools() < before, "the end of the tool");
      await beats();
      process.kill(pid, "SIGTERM");
      assert.deepEqual(await processesGone([pid], 5000), []);
      rmSync(heart);
    }
  });
});
