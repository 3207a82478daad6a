/** Contexts whose parent is gone although the kernel does not tell them: docs/connections.md#dead-peers. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { skipReason } from "../support/lab.ts";
import { checkLeaks, commandOf, descendants, isReaper, processesGone } from "../support/leak-check.ts";
import { type Program, runProgram } from "../support/run-program.ts";
import { sshTo } from "../support/ssh-options.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** A context ends after four intervals without a byte. */
const KEEPALIVE_MS = 500;
/** Time for these intervals and for ending, on a busy machine. */
const GONE_MS = 20_000;
/** Reads /proc, because the kernel tells only a parent that asks which process is stopped. */
const isStopped = (pid: number): boolean =>
  /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));

function start(mode: string, keepaliveMs: number, more: unknown = null): Program {
  const env = { MITOGEN_TEST_PARENT: JSON.stringify([mode, keepaliveMs, more]) };
  return runProgram("e2e/dead-parent.mjs", { env });
}

async function pidsOf(program: Program): Promise<number[]> {
  return (await program.line()).split(" ").map(Number);
}

async function kill(program: Program): Promise<void> {
  program.process.kill("SIGKILL");
  await program.ended;
}

/** Blocks this whole program, as a debugger or `execFileSync` does. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe("a context", () => {
  it("ends when the network was cut before its program was killed, even if its output is stuck", async (t) => {
    const path = join(temporaryFolder(t), "pids");
    const program = start("cut", KEEPALIVE_MS, path);
    const [pid] = (await pidsOf(program)) as [number];
    const [network, far] = readFileSync(path, "utf8").split(" ").map(Number) as [number, number];
    t.after(() => process.kill(network, "SIGKILL"));
    process.kill(network, "SIGUSR1");
    await kill(program);
    assert.deepEqual(await processesGone([pid, far], GONE_MS), []);
    assert.ok(existsSync(`/proc/${network}`), "the network process runs, and has closed nothing");
  });

  it("on another machine ends when its program was killed and ssh has not noticed", {
    skip: skipReason(),
  }, async (t) => {
    const program = start("ssh", KEEPALIVE_MS, sshTo("mitogen-dash"));
    const pids = await pidsOf(program);
    const below = descendants(program.process.pid as number);
    const ssh = below.find((pid) => commandOf(pid).startsWith("ssh ")) as number;
    t.after(() => process.kill(ssh, "SIGKILL"));
    // A reaper would end ssh, as if ssh had noticed.
    for (const pid of below.filter(isReaper)) process.kill(pid, "SIGKILL");
    process.kill(ssh, "SIGSTOP");
    await kill(program);
    assert.deepEqual(await processesGone(pids, GONE_MS), []);
    assert.ok(isStopped(ssh));
  });

  it("behind a stopped hop ends by itself if it asks for signs of life; one that does not ends when the hop goes on", async () => {
    const program = start("hop", KEEPALIVE_MS);
    const [hop, asking, local] = (await pidsOf(program)) as [number, number, number];
    process.kill(hop, "SIGSTOP");
    await kill(program);
    assert.deepEqual(await processesGone([asking], GONE_MS), []);
    assert.deepEqual([isStopped(hop), existsSync(`/proc/${local}`)], [true, true]);
    process.kill(hop, "SIGCONT");
    assert.deepEqual(await processesGone([hop, local], GONE_MS), []);
  });

  it("that was suspended together with its program goes on, because it counts intervals, not time", async (t) => {
    const keepaliveMs = 500;
    const program = start("beat", keepaliveMs);
    t.after(() => kill(program));
    const line = await program.line();
    assert.equal(await program.line(), line);
    const pids = [Number(line), program.process.pid as number];
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    await pause(8 * keepaliveMs);
    for (const pid of pids) process.kill(pid, "SIGCONT");
    // Longer than it takes to give up a peer.
    for (const end = Date.now() + 6 * keepaliveMs; Date.now() < end; ) {
      assert.equal(await program.line(), line);
    }
  });
});

describe("contexts on links with keepaliveMs", () => {
  let router: Router;
  let local: Context;
  let asking: Context;
  before(async () => {
    router = new Router(undefined, { keepaliveMs: KEEPALIVE_MS });
    [local, asking] = await Promise.all([router.local(), router.exec({ command: ["env"], name: "far" })]);
  });
  after(() => router.shutdown());

  it("that nobody calls stay connected to their parents", async () => {
    const behind = await router.exec({ command: ["env"], via: asking });
    await pause(10 * KEEPALIVE_MS);
    assert.equal(await behind.call(remote.add, 1, 1), 2);
    await behind.shutdown();
  });

  it("end when their program is blocked for long, unless the kernel would tell them of its end or a hop is their parent", async () => {
    const behind = await router.exec({ command: ["env"], via: local });
    const waiting = asking.call(remote.echoLater, 1, 60_000);
    waiting.catch(() => undefined);
    await local.call(remote.add, 1, 1);
    block(10 * KEEPALIVE_MS);
    await assert.rejects(waiting, {
      code: "ERR_CHANNEL",
      message: `far: no sign of life from its parent for ${4 * KEEPALIVE_MS} ms`,
    });
    await assert.rejects(asking.call(remote.add, 1, 1), { code: "ERR_CHANNEL" });
    assert.equal(await local.call(remote.add, 1, 1), 2);
    assert.equal(await behind.call(remote.add, 1, 1), 2);
  });
});

describe("contexts on links with keepaliveMs 0", () => {
  it("stay connected to a program that is blocked for long, also behind a hop", async () => {
    await using router = new Router(undefined, { keepaliveMs: 0 });
    const far = await router.exec({ command: ["env"] });
    const farther = await router.exec({ command: ["env"], via: far });
    block(2000);
    assert.equal(await far.call(remote.add, 1, 1), 2);
    assert.equal(await farther.call(remote.add, 1, 1), 2);
  });
});
