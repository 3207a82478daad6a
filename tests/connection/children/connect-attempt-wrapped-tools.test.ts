/**
 * Methods whose command line is a small program, run for real with stand-ins for the tools that the program
 * calls.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ConnectAttempt } from "../../../src/connection/children/connect-attempt.ts";
import type { ConnectionMethod } from "../../../src/connection/methods/method.ts";
import { methods } from "../../../src/connection/methods/methods.ts";
import { StreamError } from "../../../src/errors.ts";
import { sampleOf } from "../../support/extent.ts";
import { checkLeaks } from "../../support/leak-check.ts";

// This timer keeps the program alive, as in connect-attempt.test.ts.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

const CONFIG = { contextId: 1, parentIds: [0], remoteName: "test", logLevel: 2, maxMessageBytes: 1 << 20 };
const folder = mkdtempSync(join(tmpdir(), "mitogen-wrapped-"));
after(() => rmSync(folder, { recursive: true }));

function program(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** Connects, and ends the child. Returns what the tool has written to stderr meanwhile. */
async function connects(method: string, options: { [option: string]: unknown }): Promise<string> {
  const attempt = new ConnectAttempt(methods[method] as ConnectionMethod<object>, {
    nodePath: process.execPath,
    ...options,
  });
  const { tool, ready } = await attempt.run(CONFIG);
  assert.equal(ready.nodeVersion, process.versions.node);
  let said = "";
  tool.promptOut.on("data", (chunk) => {
    said += chunk;
  });
  tool.stdout.resume();
  tool.stdin.end();
  await tool.end(3000);
  return said;
}

describe("sudo with login", () => {
  // With -i, sudo and sudo-rs put a backslash before every other character, and the login shell reads the
  // result.
  const sudo = program(
    "sudo",
    `#!${process.execPath}
const words = process.argv.slice(process.argv.indexOf("--") + 1);
const line = words.map((word) => word.replace(/[^A-Za-z0-9_$-]/g, "\\\\$&")).join(" ");
const { status } = require("node:child_process").spawnSync(process.env.LOGIN_SHELL, ["-c", line], { stdio: "inherit" });
process.exit(status);
`,
  );
  for (const shell of ["sh", "bash"]) {
    it(`boots through ${shell}, which would expand a dollar sign`, async () => {
      process.env.LOGIN_SHELL = shell;
      await connects("sudo", { sudoPath: sudo, login: true });
      delete process.env.LOGIN_SHELL;
    });
  }

  it("refuses a node path with a dollar sign, which the shell would expand", () => {
    const options = { login: true, nodePath: "/opt/$x/node" };
    assert.throws(() => new ConnectAttempt(methods.sudo as ConnectionMethod<object>, options), RangeError);
  });
});

describe("setns", { skip: process.platform !== "linux" && "Linux only" }, () => {
  // Logs its arguments and environment, and runs the command without entering anything.
  const nsenter = program(
    "nsenter",
    '#!/bin/sh\necho "nsenter $* HOME=$HOME SHELL=$SHELL LOGNAME=$LOGNAME USER=$USER" >"$0.log"\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n',
  );
  const tool = (name: string, said: string, code = 0): string =>
    program(name, `#!/bin/sh\ncat >/dev/null\necho "$*" >"$0.log"\necho '${said}'\nexit ${code}\n`);
  const log = async (path: string): Promise<string> => {
    const { readFile } = await import("node:fs/promises");
    return (await readFile(`${path}.log`, "utf8")).trim();
  };
  // Not the account that runs the tests, because its environment is set anyway.
  const passwd = readFileSync("/etc/passwd", "utf8").split("\n");
  const other = passwd.map((line) => line.split(":")).find(([name]) => name !== userInfo().username) ?? [];
  const [username, , uid, gid, , homedir, shell] = other;
  const entered = `nsenter --target ${process.pid} --mount --uts --ipc --net --pid --root --wd --setuid ${uid} --setgid ${gid} -- sh -c`;
  const environment = `HOME=${homedir} SHELL=${shell} LOGNAME=${username} USER=${username}`;

  for (const [kind, option, said, asked] of sampleOf(2, [
    ["docker", "dockerPath", String(process.pid), "inspect --format={{.State.Pid}} web"],
    ["podman", "podmanPath", String(process.pid), "inspect --format={{.State.Pid}} web"],
    [
      "lxc",
      "lxcInfoPath",
      `Name: web\nState: RUNNING\nPID:            ${process.pid}\nIP: 10.0.3.7`,
      "--name web",
    ],
    ["lxd", "lxcPath", `Name: web\nStatus: RUNNING\nPID: ${process.pid}\nProcesses: 12`, "info web"],
    [
      "machinectl",
      "machinectlPath",
      `web(0123)\n  Since: now\n    Leader: ${process.pid} (systemd)`,
      "status web",
    ],
    ["incus", "incusPath", `Name: web\nPid: ${process.pid}\nProcesses: 12`, "info web"],
  ] as const)) {
    it(`asks ${kind} for the leader and enters its namespaces`, async () => {
      const path = tool(kind, said);
      await connects("setns", { kind, container: "web", [option]: path, nsenterPath: nsenter, username });
      assert.equal(await log(path), asked);
      const seen = await log(nsenter);
      assert.ok(seen.startsWith(entered), seen);
      assert.ok(seen.endsWith(environment), seen);
    });
  }

  const fails = (options: object): Promise<StreamError & { details: { stderr: string; exitCode: number } }> =>
    connects("setns", { kind: "docker", container: "web", nsenterPath: nsenter, ...options }).then(
      () => assert.fail("it connected"),
      (error) => error,
    );

  it("reports what the tool said, and its exit code", async () => {
    const error = await fails({ dockerPath: tool("failing", "No such object: web", 3) });
    assert.equal(error.details.exitCode, 3);
    assert.match(error.details.stderr, /No such object: web/);
  });

  it("enters the container's user namespace if the container has one of its own", async () => {
    const leader = spawn("unshare", ["--user", "--map-root-user", "sleep", "60"], { stdio: "ignore" });
    const ended = once(leader, "exit");
    try {
      const own = readlinkSync("/proc/self/ns/user");
      while (readlinkSync(`/proc/${leader.pid}/ns/user`) === own) await pause(10);
      const path = tool("rootless", String(leader.pid));
      await connects("setns", { kind: "docker", container: "web", dockerPath: path, nsenterPath: nsenter });
      assert.match(await log(nsenter), new RegExp(`^nsenter --target ${leader.pid} --user --mount `));
    } finally {
      leader.kill("SIGKILL");
      await ended;
    }
  });

  it("says that a container does not run, or has no such user", async () => {
    const stopped = await fails({ dockerPath: tool("stopped", "0") });
    assert.match(stopped.message, /the container has no process: 0/);
    const stranger = await fails({ dockerPath: tool("running", String(process.pid)), username: "no'such" });
    assert.match(stranger.message, /no user no'such in the container/);
  });

  it("says that nsenter is missing", async () => {
    const error = await fails({ nsenterPath: "/nonexistent/nsenter" });
    assert.ok(error instanceof StreamError);
    assert.match(error.message, /nsenter is missing; install util-linux/);
  });
});
