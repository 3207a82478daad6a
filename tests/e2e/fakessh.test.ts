/** Real rsync, scp, sftp and git through contexts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ChannelError, type Context, Router, type RunSshOptions, TimeoutError } from "../../src/index.ts";
import { contents } from "../fixtures/remote/trees.ts";
import { isFull, sampleOf, takesLong } from "../support/extent.ts";
import { assertSame, needs } from "../support/file-trees.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks, descendants, isReaper, processesGone } from "../support/leak-check.ts";
import { noPeakMemory, PeakMemory } from "../support/peak-memory.ts";
import { runProgram } from "../support/run-program.ts";
import { filesOfGit, folder, fresh, git, run, succeed, temporary, tree } from "../support/run-tool.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const BIG_BYTES = (isFull ? 200 : 120) * 1024 * 1024;
/** In MiB. A process that passes the bytes on holds 10 to 30 MiB at once, and what V8 has not collected yet. */
const MAX_GROWTH = 100;

/** Asserts that this process and its contexts grow less, while `work` runs, than what passes through them. */
async function checkMemory(work: () => Promise<unknown>): Promise<void> {
  const memory = new PeakMemory([process.pid, ...descendants(process.pid)]);
  await work();
  const growth = memory.growth();
  assert.ok(Math.max(...growth) < MAX_GROWTH, `grown by ${growth.join(", ")} MiB`);
}

describe("runSsh", { concurrency: false, skip: needs("ssh") }, () => {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local();
  });
  after(() => router.shutdown());

  it("rsync -a copies a tree there and back, and finds nothing to do the second time", {
    skip: needs("rsync"),
  }, async () => {
    const there = join(fresh("rsync"), "there");
    await succeed(context, ["rsync", "-a", `${tree}/`, `any:${there}/`]);
    assertSame(contents(there), contents(tree));
    assert.equal(await succeed(context, ["rsync", "-a", "--delete", "-i", `${tree}/`, `any:${there}/`]), "");
    const back = fresh("rsync-back");
    await succeed(context, ["rsync", "-a", "-e", "ssh -p 2222 -l nobody", `any:${there}/`, `${back}/`]);
    assertSame(contents(back), contents(tree));
  });
  for (const [protocol, flags] of [
    ["sftp", []],
    ["scp", ["-O"]],
  ] as const) {
    it(`scp -r over the protocol ${protocol} copies a tree there and back`, {
      skip: takesLong || needs("scp"),
    }, async () => {
      const source = join(tree, "part 1");
      const there = join(fresh("scp"), "there");
      await succeed(context, ["scp", "-q", "-p", "-r", ...flags, source, `any:${there}`]);
      assertSame(contents(there, false).filter(isNoLink), contents(source, false));
      const back = join(fresh("scp-back"), "back");
      await succeed(context, ["scp", "-q", "-p", "-r", ...flags, `user@any:${there}`, back]);
      assertSame(contents(back), contents(there));
    });
  }
  it("sftp -b runs a batch", { skip: needs("sftp") }, async () => {
    const there = fresh("sftp");
    const batch = join(there, "batch");
    writeFileSync(
      batch,
      `put "${tree}/every byte" "${there}/copy"\nget "${there}/copy" "${there}/back"\nls ${there}\n`,
    );
    assert.match(await succeed(context, ["sftp", "-b", batch, "any"]), /copy/);
    assert.deepEqual(readFileSync(join(there, "back")), readFileSync(join(tree, "every byte")));
  });
  it("git clones, pushes and fetches", { skip: needs("git") }, async () => {
    const there = fresh("git");
    git("init", "-q", `${there}/work`);
    spawnSync("cp", ["-R", `${tree}/part 1`, `${there}/work`]);
    git("-C", `${there}/work`, "add", "-A");
    git("-C", `${there}/work`, "commit", "-q", "-m", "all");
    git("clone", "-q", "--bare", `${there}/work`, `${there}/bare.git`);
    await succeed(context, ["git", "clone", "-q", `any:${there}/bare.git`, `${there}/clone`]);
    assertSame(filesOfGit(`${there}/clone`), filesOfGit(`${there}/work`));
    git("-C", `${there}/clone`, "commit", "-q", "--allow-empty", "-m", "more");
    await succeed(context, [
      "git",
      "-C",
      `${there}/clone`,
      "push",
      "-q",
      `ssh://any${there}/bare.git`,
      "HEAD",
    ]);
    const shown = spawnSync("git", ["-C", `${there}/bare.git`, "log", "-1", "--format=%s"], {
      encoding: "utf8",
    });
    assert.equal(shown.stdout, "more\n");
  });
  it("rsync of a large file takes little memory", {
    skip: takesLong || needs("rsync") || noPeakMemory,
  }, async () => {
    const there = fresh("big");
    const file = openSync(join(there, "big"), "w");
    for (let at = 0; at <= BIG_BYTES; at += 1024 * 1024) writeSync(file, `${at}`, at);
    closeSync(file);
    await checkMemory(() => succeed(context, ["rsync", "-W", join(there, "big"), `any:${there}/copy`]));
    assert.equal(spawnSync("cmp", [join(there, "big"), join(there, "copy")]).status, 0);
  });
  it("reads only as fast as the other side does, in both directions", { skip: noPeakMemory }, async () => {
    const bytes = String(BIG_BYTES);
    const up = `head -c ${bytes} /dev/zero | ssh any 'sleep 1; wc -c'`;
    const down = `ssh any 'head -c ${bytes} /dev/zero' < /dev/null | (sleep 1; wc -c)`;
    await checkMemory(async () => {
      for (const way of sampleOf(2, [up, down])) {
        assert.equal((await succeed(context, ["sh", "-c", way])).trim(), bytes);
      }
    });
  });

  it("runs commands with /bin/sh in the home directory, several at once", async () => {
    assert.equal(await succeed(context, ["ssh", "any", "pwd; echo $0"]), `${homedir()}\n/bin/sh\n`);
    const many = 'for i in 1 2 3 4; do ssh any "echo $i" < /dev/null & done; wait';
    const lines = (await succeed(context, ["sh", "-c", many])).trim().split("\n");
    assert.deepEqual(lines.sort(), ["1", "2", "3", "4"]);
  });
  it("keeps stdout and stderr apart, and passes stdin and its end", async () => {
    const { stdout, stderr, code } = await run(context, [
      "sh",
      "-c",
      "echo in | ssh any 'cat; echo err >&2'",
    ]);
    assert.deepEqual({ stdout, stderr, code }, { stdout: "in\n", stderr: "err\n", code: 0 });
    assert.equal(await succeed(context, ["sh", "-c", "echo in | ssh -n any wc -c"]), "0\n");
  });
  it("returns the exit status of the tool, which is that of the command for ssh", async () => {
    const statusOf = async (...argv: string[]) => (await run(context, argv)).code;
    assert.equal(await statusOf("ssh", "any", "exit 3"), 3);
    assert.equal(await statusOf("ssh", "any", "kill -KILL $$"), 137);
    assert.equal(await statusOf("ssh", "any", "no-such-command-x"), 127);
    assert.equal(await statusOf("sh", "-c", "ssh any true; exit 7"), 7);
    // The output at the end of the command arrives before its status.
    assert.match(
      (await run(context, ["ssh", "any", "head -c 300000 /dev/zero; exit 9"])).stdout,
      /\0{300000}$/,
    );
  });
  it("explains a missing command, an unknown subsystem and an impossible option", async () => {
    const login = await run(context, ["ssh", "any"]);
    assert.equal(login.code, 255);
    assert.match(login.stderr, /mitogen ssh: .*no command was given, and this ssh only runs commands/);
    assert.match(
      (await run(context, ["ssh", "-s", "any", "netconf"])).stderr,
      /the subsystem "netconf": only sftp/,
    );
    assert.match((await run(context, ["ssh", "-N", "any"])).stderr, /-N is not possible/);
  });
  it("rejects for a tool that cannot be started", async () => {
    await assert.rejects(
      run(context, ["no-such-tool-x"]),
      /Cannot run "no-such-tool-x": .*is it installed\?/,
    );
    await assert.rejects(run(context, []), TypeError);
    assert.deepEqual(readdirSync(temporary), []);
  });

  /** Starts a tool with a command in the context that reports its pid and stays. */
  async function stay(script: (command: string, file: string) => string, options: RunSshOptions = {}) {
    const file = join(fresh("stay"), "pids");
    const command = `echo $$ > ${file}.new; mv ${file}.new ${file}; trap "" HUP; sleep 1000`;
    const done = run(context, ["sh", "-c", script(command, file)], options);
    done.catch(() => undefined);
    for (const deadline = Date.now() + 20_000; ; await pause(20)) {
      const pid = Number(spawnSync("cat", [file], { encoding: "utf8" }).stdout);
      if (pid > 0) return { pid, done };
      assert.ok(Date.now() < deadline, "the command did not start");
    }
  }

  it("ends the command when the tool is killed", async () => {
    const { pid, done } = await stay(
      (command, file) =>
        `ssh any '${command}' < /dev/null & while ! [ -e ${file} ]; do sleep 0.1; done; kill -9 $$`,
    );
    assert.deepEqual((await done).signal, "SIGKILL");
    assert.deepEqual(await processesGone([pid], 10_000), []);
  });
  it("ends the tool and the command after timeoutMs, and when the signal aborts", async () => {
    const timed = await stay((command) => `ssh any '${command}'`, { timeoutMs: 8_000 });
    await assert.rejects(timed.done, TimeoutError);
    const abort = new AbortController();
    const aborted = await stay((command) => `ssh any '${command}'`, { signal: abort.signal });
    abort.abort(new RangeError("enough"));
    await assert.rejects(aborted.done, RangeError);
    assert.deepEqual(await processesGone([timed.pid, aborted.pid], 10_000), []);
    assert.deepEqual(readdirSync(temporary), []);
  });
  it("ends the tool when the context ends", async () => {
    const other = await router.local();
    const working = run(other, ["ssh", "any", "echo started; sleep 1000"]);
    await pause(0);
    await other.shutdown();
    const { code, stderr } = await working.catch((error) => {
      assert.ok(error instanceof ChannelError, String(error));
      return { code: 255, stderr: "mitogen ssh" };
    });
    assert.equal(code, 255);
    assert.match(stderr, /mitogen ssh/);
    await assert.rejects(run(other, ["ssh", "any", "true"]), ChannelError);
  });
  /**
   * Kills a program in the middle of a run, with `alsoReaper` its reaper first. Waits until all processes below the
   * program have gone.
   */
  async function killProgram(alsoReaper: boolean): Promise<void> {
    const script = join(folder, "killed.mjs");
    const index = JSON.stringify(join(repoRoot, "dist/index.js"));
    writeFileSync(
      script,
      `import { Router, runSsh } from ${index};
const router = new Router();
const context = await router.local();
await runSsh(context, ["ssh", "any", "echo ready; sleep 1000"]);`,
    );
    const program = runProgram(script, { env: { TMPDIR: temporary } });
    assert.equal(await program.line(), "ready");
    const below = descendants(program.process.pid as number);
    if (alsoReaper) {
      const reapers = below.filter(isReaper);
      for (const pid of reapers) process.kill(pid, "SIGKILL");
      assert.deepEqual([reapers.length, await processesGone(reapers, 10_000)], [1, []]);
    }
    program.process.kill("SIGKILL");
    await program.ended;
    assert.deepEqual(await processesGone(below, 10_000), []);
  }
  it("leaves no files when the program is killed", async () => {
    await killProgram(false);
    // The reaper, which removes the files, was among the processes that are gone.
    assert.deepEqual(readdirSync(temporary), []);
  });
  it("removes, at the next run, the files that stay when the reaper is killed too", async () => {
    await killProgram(true);
    assert.equal(readdirSync(temporary).length, 1);
    await succeed(context, ["ssh", "any", "true"]);
    assert.deepEqual(readdirSync(temporary), []);
  });
});

function isNoLink(line: string): boolean {
  return !line.includes("/link-");
}
