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

/** How long a busy machine may take. */
const PATIENCE_MS = 15_000;
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const;

/** Returns an argument of sleep that no other test or run uses. */
let count = 0;
function newSeconds(): string {
  count += 1;
  return `${300 + count}.${process.pid}${Date.now() % 1000}`;
}

/** The pids of sleep with this argument, in any container. */
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

describe("a program that ends during a connect to a silent host", { skip: hasSsh }, () => {
  let server: Server;
  before(async () => {
    server = createServer((socket) => void socket.on("error", () => undefined).resume()).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
  });
  after(() => server.close());

  /** Starts the program, waits until each ssh has connected, and returns the pids of all it has started. */
  async function connecting(...ways: string[]): Promise<{ program: Program; hop: number; pids: number[] }> {
    const { port } = server.address() as { port: number };
    const args = [`${port}`, ...ways];
    const program = runProgram("e2e/connect-to-silence.mjs", { args, ownGroup: true });
    let heard = 0;
    for await (const _ of on(server, "connection")) if (++heard === ways.length) break;
    const hop = Number(await program.line());
    const pids = descendants(program.process.pid as number);
    assert.ok(pids.length > ways.length, "each ssh and the reaper run");
    return { program, hop, pids };
  }

  // `ended` is awaited first: it resolves only when no process holds the program's output pipe open any more.
  for (const signal of sampleOf(SIGNALS.length, SIGNALS)) {
    it(`by ${signal} leaves no ssh, also with a terminal or behind a hop`, async () => {
      const { program, pids } = await connecting("plain", "password", "hop");
      program.process.kill(signal);
      assert.equal((await program.ended).signal, signal);
      assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    });
  }

  it("by a signal to its process group, as from Ctrl-C, leaves no ssh", { skip: takesLong }, async () => {
    const { program, pids } = await connecting("password");
    process.kill(-(program.process.pid as number), "SIGINT");
    await program.ended;
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
  });

  it("has no ssh left behind a hop that is killed", async () => {
    const { program, hop } = await connecting("hop");
    const pids = descendants(hop);
    assert.ok(pids.length >= 2, "ssh and the reaper of the hop run");
    process.kill(hop, "SIGKILL");
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    assert.notEqual((await program.ended).code, 0);
  });
});

it("a program that is killed while it starts a tool leaves no tool, with any sh", async (t) => {
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
      assert.ok(tools.length > 0, "the tool has started");
      assert.deepEqual(await processesGone(tools.map(Number), PATIENCE_MS), [], shell);
      // The processes that the tools started end by the same signal, perhaps a moment later.
      assert.deepEqual(await processesGone(running(seconds), PATIENCE_MS), [], shell);
    }),
  );
});

describe("a program with a terminal", { skip: existsSync("/usr/bin/script") ? false : "no script" }, () => {
  it("ended by Ctrl-C there leaves no process, and the terminal as it was", { timeout: 60_000 }, async () => {
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
  /** Checks that the context's subprocesses end with it, except one that it has detached. */
  async function assertCleared(context: Context, signal: string): Promise<void> {
    const [plain, orphan, apart] = [newSeconds(), newSeconds(), newSeconds()];
    await context.call(left.startSleep, plain);
    await context.call(left.startOrphan, orphan);
    await context.call(left.startSleep, apart, true);
    const pids = [...(await untilRunning(plain)), ...(await untilRunning(orphan))];
    const daemons = await untilRunning(apart);
    context.callNoReply(left.killSelf, signal);
    const alive = setInterval(() => undefined, 1000); // because this promise does not keep the test alive
    await context.disconnected;
    clearInterval(alive);
    assert.deepEqual(await processesGone(pids, PATIENCE_MS), []);
    assert.deepEqual(running(apart), daemons);
    for (const pid of daemons) process.kill(pid, "SIGKILL");
  }

  for (const signal of ["SIGKILL", "SIGTERM", "SIGHUP"]) {
    const skip = signal !== "SIGTERM" && takesLong;
    it(`by ${signal} leaves only detached subprocesses`, { skip }, async () => {
      await using router = new Router();
      await assertCleared(await router.local(), signal);
    });
  }
  it("leaves only detached subprocesses on every Node", { skip: skipReason() }, async () => {
    await using router = new Router();
    for (const nodePath of Object.values(nodes))
      await assertCleared(await router.local({ nodePath }), "SIGKILL");
  });
  it("leaves only detached subprocesses behind a hop and on it", async () => {
    await using router = new Router();
    const hop = await router.local();
    await assertCleared(await router.local({ via: hop }), "SIGKILL");
    await assertCleared(hop, "SIGKILL");
  });
  for (const user of ["dash", "bash", "fish", "tcsh"]) {
    it(`leaves only detached subprocesses on another machine with the shell ${user}`, {
      skip: skipReason(),
    }, async () => {
      await using router = new Router();
      await assertCleared(await router.ssh(sshTo(`mitogen-${user}`)), "SIGKILL");
    });
  }
  // "docker image" is not in the list: a container that is made for a context ends with it, and with it the
  // detached subprocess.
  for (const name of ["sudo", "su", "ssh → sudo where a terminal is required", "docker", "lxc"]) {
    it(`leaves only detached subprocesses with ${name}`, { skip: skipReason() }, async () => {
      await using router = new Router();
      await assertCleared(
        await (labMethods[name] as (router: Router) => Promise<Context>)(router),
        "SIGKILL",
      );
    });
  }
  it("does not have its subprocesses ignore signals", { skip: skipReason() }, async () => {
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

it("shutdown ends what a shell starts in its signal trap, and leaves no reaper", async (t) => {
  const router = new Router();
  const context = await router.local();
  const path = join(temporaryFolder(t), "pid");
  await context.call(left.startTrapping, newSeconds(), path);
  const before = descendants(process.pid).filter((pid) => !/esbuild/.test(commandOf(pid)));
  assert.ok(before.some(isReaper));
  await router.shutdown();
  const pid = Number(readFileSync(path, "latin1"));
  assert.deepEqual((await processesGone([...before, pid], PATIENCE_MS)).map(commandOf), []);
});

describe("a program that listens", () => {
  for (const signal of sampleOf(3, SIGNALS)) {
    it(`leaves no socket when it is ended by ${signal}`, async (t) => {
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
