/** Machines with an unusual environment: variables of node, login scripts, directories, locales. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type ConnectOptions, Router, type SshOptions, TimeoutError } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { failureOfConnect } from "../support/connect-failure.ts";
import { sampleOf, targetsOf } from "../support/extent.ts";
import { lab, nodes, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const folder = mkdtempSync(join(tmpdir(), "mitogen-environment-"));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A `nodePath` that runs node with these variables, after these commands of sh. */
function behind(variables: readonly string[], node: string = process.execPath, prelude = ":"): string[] {
  return ["env", ...variables, "sh", "-c", `${prelude};exec "$@"`, "sh", node];
}

async function checkWorks(options: ConnectOptions): Promise<void> {
  await using router = new Router();
  const context = await router.local(options);
  // Many calls, so that all ways of sending an answer are used.
  for (let i = 0; i < 200; i++) assert.equal(await context.call(remote.add, i, 2), i + 2);
}

const majors = targetsOf(["12", "16", "18", "20", "22", "24", "26"]).filter(
  (major) => nodes[major] !== undefined,
);
const everyNode: [name: string, node: string][] =
  majors.length === 0 ? [["this", process.execPath]] : majors.map((major) => [major, nodes[major] as string]);

describe("NODE_OPTIONS of the target", () => {
  for (const [name, node] of everyNode) {
    it(`may set the type of standard input, on Node ${name}`, async () => {
      await checkWorks({ nodePath: behind(["NODE_OPTIONS=--input-type=module"], node) });
      if (["18", "20", "22"].includes(name)) {
        await checkWorks({ nodePath: behind(["NODE_OPTIONS=--experimental-default-type=module"], node) });
      }
    });

    it(`may preload modules that print, read and keep running, on Node ${name}`, async () => {
      const prints = file(
        "prints.cjs",
        'console.log("Hello"); console.error("there"); process.stdout.write("open")',
      );
      const reads = file(
        "reads.cjs",
        "process.stdin.on('data', () => {}); setInterval(() => console.log('tick'), 5)",
      );
      for (const path of sampleOf(2, [reads, prints])) {
        await checkWorks({ nodePath: behind([`NODE_OPTIONS=--require ${path}`], node) });
      }
    });

    it(`may name a missing module, and the error points to NODE_OPTIONS, on Node ${name}`, async () => {
      const nodePath = behind(["NODE_OPTIONS=--require /nope/x.js"], node);
      const error = await failureOfConnect((router) => router.local({ nodePath }));
      assert.match(error.message, /Cannot find module '\/nope\/x.js'/);
      assert.match(error.details.hint, /NODE_OPTIONS/);
      // What the hint advises.
      await checkWorks({ nodePath: [...nodePath.slice(0, -1), "env", "NODE_OPTIONS=", node] });
    });

    it(`may prevent a context from starting, and the error points to NODE_OPTIONS, on Node ${name}`, async () => {
      for (const options of sampleOf(2, [
        "--disallow-code-generation-from-strings",
        "--no-such-option",
        "--permission",
        "--watch",
      ])) {
        // It has no effect on Node 16.
        if (options.startsWith("--disallow") && name === "16") continue;
        const nodePath = behind([`NODE_OPTIONS=${options}`], node);
        const error = await failureOfConnect((router) => router.local({ nodePath }));
        assert.match(error.details.hint, /NODE_OPTIONS/, `${options}: ${error.message}`);
        assert.doesNotMatch(error.details.hint, /ulimit/);
      }
    });
  }

  it("may have node wait for a debugger, and the timeout error says so", async () => {
    const nodePath = behind(["NODE_OPTIONS=--inspect-brk=0"]);
    const error = await failureOfConnect((router) => router.local({ nodePath, timeoutMs: 3000 }));
    assert.ok(error instanceof TimeoutError);
    assert.match(error.details.hint, /debugger/);
  });
});

describe("a target may have", () => {
  const cases: [title: string, variables: string[], prelude?: string][] = [
    ["no HOME", ["-u", "HOME"]],
    ["a HOME that is not there", ["HOME=/nope"]],
    ["an empty HOME", ["HOME="]],
    ["no folder for temporary files", ["TMPDIR=/nope"]],
    ["a locale that is not installed", ["LC_ALL=xx_YY.UTF-8", "LANG=qq"]],
    ["a library to preload that is not there", ["LD_PRELOAD=/nope.so"]],
    ["a umask that forbids everything", ["A=b"], "umask 777"],
  ];
  for (const [title, variables, prelude] of sampleOf(3, cases)) {
    it(title, async () => {
      for (const [, node] of new Set([everyNode[0], everyNode.at(-1)]) as Set<[string, string]>) {
        await checkWorks({ nodePath: behind(variables, node, prelude) });
      }
    });
  }

  it("a working directory that was deleted: a child that is started from there begins in /", async () => {
    const here = process.cwd();
    const gone = join(folder, "gone");
    mkdirSync(gone);
    process.chdir(gone);
    const logs = collectLogs("warning");
    await using router = new Router();
    try {
      rmdirSync(gone);
      const first = await router.local();
      assert.equal(await first.call(process.cwd), "/");
      // The same in a context whose working directory was removed.
      mkdirSync(gone);
      await first.call(process.chdir, gone);
      rmdirSync(gone);
      const second = await router.local({ via: first });
      assert.equal(await second.call(process.cwd), "/");
    } finally {
      process.chdir(here);
      logs.stop();
    }
    const lines = logs.records.filter(({ message }) => /working directory .* no longer exists/.test(message));
    assert.equal(lines.length, 2);
  });
});

describe("login scripts", { skip: skipReason() }, () => {
  const hostKey = join(folder, "host_key");
  before(() => {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", hostKey]);
  });

  let count = 0;

  /** Options for a login whose home has this start-up file, through an sshd for this one connection. */
  function loginWith(script: string, changes: Partial<SshOptions> = {}, rc = ".bashrc"): SshOptions {
    count += 1;
    const home = join(folder, `home-${count}`);
    mkdirSync(home, { mode: 0o755 });
    writeFileSync(join(home, rc), `${script}\n`);
    const path = lab()?.ssh.users[0]?.path;
    const config = file(
      `sshd-${count}`,
      `HostKey ${hostKey}\nUsePAM no\nPidFile none\nSetEnv PATH=${path} HOME=${home}\n`,
    );
    const sshArgs = ["-o", `ProxyCommand=/usr/sbin/sshd -i -f ${config} -E ${join(folder, "sshd.log")}`];
    return sshTo(changes.username ?? "mitogen-bash", { checkHostKeys: "ignore", sshArgs, ...changes });
  }

  for (const shell of ["zsh", "bash -l", "sh", "tcsh", "ksh", "mksh"]) {
    it(`that exec ${shell} fail the connect at once, and no input is run as a command`, async (t) => {
      try {
        execFileSync("which", [shell.split(" ")[0] as string]);
      } catch {
        t.skip(`${shell} is not installed`);
        return;
      }
      for (const options of [
        loginWith(`exec ${shell}`),
        loginWith(`exec ${shell}`, { username: "mitogen-zsh" }, ".zshenv"),
      ]) {
        if (options.username === "mitogen-zsh" && shell === "zsh") continue; // it would start itself forever
        const error = await failureOfConnect((router) => router.ssh(options));
        assert.match(
          error.message,
          /has started another shell in place of the library's command; let it do so only in interactive logins/,
        );
        assert.doesNotMatch(error.details.stderr, /not found|syntax|parse error/i);
        assert.ok(error.details.durationMs < 20_000);
      }
    });
  }

  it("that start a shell which returns fail the connect too", async () => {
    const error = await failureOfConnect((router) => router.ssh(loginWith("ssh-agent bash")));
    assert.match(error.message, /has started another shell/);
  });

  it("that exec fish or another program that reads all its input are named at the timeout", async () => {
    for (const script of ["exec fish -l", "fish", "exec sort >&2"]) {
      const error = await failureOfConnect((router) => router.ssh(loginWith(script, { timeoutMs: 4000 })));
      assert.ok(error instanceof TimeoutError, String(error));
      assert.match(
        error.message,
        /timed out after 4000 ms: .*reads all its input; once that ended, it (exited with code \d+|ran it as its own commands)/,
      );
      assert.match(error.details.hint, /\[ -t 0 \] && exec fish/);
    }
  });

  it("that wait forever end with the timeout", async () => {
    const error = await failureOfConnect((router) =>
      router.ssh(loginWith("exec sleep 600", { timeoutMs: 2000 })),
    );
    assert.ok(error instanceof TimeoutError);
    assert.match(error.message, /timed out after 2000 ms/);
    assert.doesNotMatch(error.message, /reads all its input/);
  });

  it("that read the input or redirect the output are named by the error", async () => {
    for (const script of ["read x", "exec </dev/null"]) {
      const error = await failureOfConnect((router) => router.ssh(loginWith(script)));
      assert.match(
        error.message,
        /another program there.* login script|a login script or the command of nodePath reads the input/,
        script,
      );
    }
    const error = await failureOfConnect((router) => router.ssh(loginWith("exec 1>&2")));
    assert.match(error.message, /the target's stdout arrives on stderr; check which login script/);
  });

  it("may do what does not disturb a connect", async () => {
    const scripts = [
      "exec 3>&1 4>&1 5>&1 6>&1",
      "exec 3</dev/null 4</dev/null",
      "trap 'echo bye' EXIT; set -x",
      "set -euo pipefail; shopt -s failglob",
      "unset HOME; umask 777; cd /nope; cd /",
      "export LC_ALL=xx_YY LANG=qq NODE_OPTIONS=--input-type=module",
      "export IFS=sh; alias sh='echo aliased'; command() { echo no; }",
    ];
    await using router = new Router();
    await Promise.all(
      scripts.map(async (script) => {
        const context = await router.ssh(loginWith(script));
        assert.equal(await context.call(remote.add, 1, 2), 3, script);
      }),
    );
  });
});
