import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { on, once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Context, Router } from "../../src/index.ts";
import * as left from "../fixtures/remote/left-behind.ts";
import { sampleOf, takesLong } from "../support/extent.ts";
import { lab, nodes, repoRoot, skipReason } from "../support/lab.ts";
import { labMethods } from "../support/lab-methods.ts";
import { checkLeaks, commandOf, descendants, isReaper, processesGone } from "../support/leak-check.ts";
import { type Program, runProgram } from "../support/run-program.ts";
import { sshTo } from "../support/ssh-options.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** A machine that is busy may take so long. */
const PATIENCE_MS = 15_000;
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const;

/** Unlike any that another test, or another run, starts. */
let count = 0;
function newSeconds(): string {
  count += 1;
  return `${300 + count}.${process.pid}${Date.now() % 1000}`;
}

/** Those that run with this argument, in whatever container. */
function running(seconds: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
        return args[0]?.endsWith("sleep") === true && args[1] === seconds;
      } catch {
        return false;
      }
    });
}

async function untilRunning(seconds: string): Promise<number[]> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
    const found = running(seconds);
    if (found.length > 0) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`no sleep ${seconds}`);
}

const hasSsh = existsSync("/usr/bin/ssh") ? false : "there is no ssh";

describe("a program that ends during a connect to a host that is silent", { skip: hasSsh }, () => {
  let server: Server;
  before(async () => {
    server = createServer((socket) => void socket.on("error", () => undefined).resume()).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
  });
  after(() => server.close());

  /** The program, once each ssh of it has been heard, and all that it has started. */
  async function connecting(...ways: string[]): Promise<{ program: Program; hop: number; pids: number[] }> {
    const { port } = server.address() as { port: number };
    const args = [`${port}`, ...ways];
    const program = runProgram("e2e/connect-to-silence.mjs", { args, ownGroup: true });
    let heard = 0;
    for await (const _ of on(server, "connection")) if (++heard === ways.length) break;
    const hop = Number(await program.line());
    const pids = descendants(program.process.pid as number);
    assert.ok(pids.length > ways.length, "each ssh and the reaper");
    return { program, hop, pids };
  }

  // `ended`, which comes when nobody holds its output open any more, ends where that goes through a pipe.
  for (const signal of sampleOf(3, SIGNALS)) {
    it(`by ${signal} leaves no ssh, none with a terminal, and none of a hop`, async () => {
      const { program, pids } = await connecting("plain", "password", "hop");
      program.process.kill(signal);
      assert.equal((await program.ended).signal, signal);
      assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    });
  }

  it("by a signal to its process group, as Ctrl-C sends, leaves no ssh", { skip: takesLong }, async () => {
    const { program, pids } = await connecting("password");
    process.kill(-(program.process.pid as number), "SIGINT");
    await program.ended;
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
  });

  it("whose hop is killed has no ssh left there", async () => {
    const { program, hop } = await connecting("hop");
    const pids = descendants(hop);
    assert.ok(pids.length >= 2, "ssh and the reaper of the hop");
    process.kill(hop, "SIGKILL");
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    assert.notEqual((await program.ended).code, 0);
  });
});

it("a program that is killed while it starts a tool leaves no tool, whatever sh is", async (t) => {
  const shells = ["dash", "bash", "busybox", "mksh", "ksh", "zsh"]
    .flatMap((name) => [`/bin/${name}`, `/usr/bin/${name}`])
    .filter((path) => existsSync(path));
  const folders = temporaryFolder(t);
  await Promise.all(
    sampleOf(3, [...new Set(shells.map((path) => realpathSync(path)))]).map(async (shell) => {
      const folder = mkdtempSync(join(folders, "bin-"));
      symlinkSync(shell, join(folder, "sh"));
      const seconds = newSeconds();
      const mark = randomBytes(8).toString("hex");
      const program = runProgram("e2e/killed-while-starting.mjs", {
        args: [mark, seconds],
        env: { PATH: `${folder}:${process.env.PATH}` },
      });
      assert.equal((await program.ended).signal, "SIGKILL");
      const isMarked = (pid: string) => commandOf(Number(pid)).includes(mark);
      const tools = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isMarked(name));
      assert.ok(tools.length > 0, "it has started");
      assert.deepEqual(await processesGone(tools.map(Number), PATIENCE_MS), [], shell);
      // The same signal has ended the last of what they started, which may go a moment later.
      assert.deepEqual(await processesGone(running(seconds), PATIENCE_MS), [], shell);
    }),
  );
});

describe("a program with a terminal", { skip: existsSync("/usr/bin/script") ? false : "no script" }, () => {
  it("ended by Ctrl-C there leaves nobody, and the terminal as it was", { timeout: 60_000 }, async () => {
    const path = join(repoRoot, "tests/fixtures/programs/e2e/wait-for-signal.mjs");
    const line = `trap : INT; stty -a; ${process.execPath} ${path}; stty -a`;
    const shell = spawn("script", ["-qefc", line, "/dev/null"], {
      env: { ...process.env, SHELL: "/bin/sh" },
    });
    let text = "";
    let hasTyped = false;
    shell.stdout.setEncoding("utf8");
    for await (const chunk of shell.stdout) {
      text += chunk;
      const pids = /^(\d+ \d+)\r$/m.exec(text);
      if (pids === null || hasTyped) continue;
      hasTyped = true;
      shell.stdin.write("\x03");
    }
    const pids = (/^(\d+) (\d+)\r$/m.exec(text) ?? []).slice(1).map(Number);
    assert.equal(pids.length, 2, text);
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    const [first, second] = text.split(/^\d+ \d+\r$/m).map((half) => half.replace(/\^C/g, "").trim());
    assert.equal(second, first);
  });
});

describe("the process of a context that is killed", () => {
  /** What it has started ends; what it has set apart, or another has, does not. */
  async function assertCleared(context: Context, signal: string): Promise<void> {
    const [plain, orphan, apart] = [newSeconds(), newSeconds(), newSeconds()];
    await context.call(left.startSleep, plain);
    await context.call(left.startOrphan, orphan);
    await context.call(left.startSleep, apart, true);
    const pids = [...(await untilRunning(plain)), ...(await untilRunning(orphan))];
    const daemons = await untilRunning(apart);
    context.callNoReply(left.killSelf, signal);
    const alive = setInterval(() => undefined, 1000); // which this does not keep the test
    await context.disconnected;
    clearInterval(alive);
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    assert.deepEqual(running(apart), daemons);
    for (const pid of daemons) process.kill(pid, "SIGKILL");
  }

  for (const signal of ["SIGKILL", "SIGTERM", "SIGHUP"]) {
    const skip = signal !== "SIGTERM" && takesLong;
    it(`by ${signal} leaves none of its subprocesses but those set apart`, { skip }, async () => {
      await using router = new Router();
      await assertCleared(await router.local(), signal);
    });
  }
  it("leaves none when it was another Node's", { skip: skipReason() }, async () => {
    await using router = new Router();
    for (const nodePath of Object.values(nodes))
      await assertCleared(await router.local({ nodePath }), "SIGKILL");
  });
  it("leaves none behind a context", async () => {
    await using router = new Router();
    const hop = await router.local();
    await assertCleared(await router.local({ via: hop }), "SIGKILL");
    await assertCleared(hop, "SIGKILL");
  });
  for (const user of ["dash", "bash", "fish", "tcsh"]) {
    it(`leaves none on another machine, with ${user}`, { skip: skipReason() }, async () => {
      await using router = new Router();
      await assertCleared(await router.ssh(sshTo(`mitogen-${user}`)), "SIGKILL");
    });
  }
  // A container that is made for a context ends with it, and so does what was set apart in there: "docker
  // image" is not among these.
  for (const name of ["sudo", "su", "ssh → sudo where a terminal is required", "docker", "lxc"]) {
    it(`leaves none by ${name}`, { skip: skipReason() }, async () => {
      await using router = new Router();
      await assertCleared(
        await (labMethods[name] as (router: Router) => Promise<Context>)(router),
        "SIGKILL",
      );
    });
  }
  it("does not change how subprocesses take signals", { skip: skipReason() }, async () => {
    await using router = new Router();
    for (const nodePath of [process.execPath, ...Object.values(lab()?.nodes ?? {})]) {
      const context = await router.local({ nodePath });
      const seconds = newSeconds();
      await context.call(left.startSleep, seconds);
      const [pid] = await untilRunning(seconds);
      const ignored = /^SigIgn:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? "";
      // SIGHUP, SIGINT, SIGQUIT, SIGTERM
      assert.equal(Number.parseInt(ignored.slice(-4), 16) & 0b100000000000111, 0, nodePath);
    }
  });
});

it("shutdown ends what a shell starts when it is told to end, and leaves no reaper", async () => {
  const router = new Router();
  const context = await router.local();
  const seconds = newSeconds();
  await context.call(left.startTrapping, seconds);
  const before = descendants(process.pid).filter((pid) => !/esbuild/.test(commandOf(pid)));
  assert.ok(before.some(isReaper));
  const ended = router.shutdown();
  const pids = await untilRunning(seconds);
  await ended;
  assert.deepEqual((await processesGone([...before, ...pids], PATIENCE_MS)).map(commandOf), []);
});

describe("a program that listens", () => {
  for (const signal of sampleOf(3, SIGNALS)) {
    it(`and is ended by ${signal} leaves no socket`, async (t) => {
      const path = join(temporaryFolder(t), "it's_$(a)_*.sock");
      const program = runProgram("e2e/listening.mjs", { env: { MITOGEN_TEST_LISTEN: path } });
      await program.line();
      assert.ok(existsSync(path));
      const pids = descendants(program.process.pid as number);
      program.process.kill(signal);
      await program.ended;
      assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
      assert.ok(!existsSync(path));
    });
  }
});
