/** Passwords of the command line, against a real sshd and a real sudo. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Ended } from "../support/end-of.ts";
import { lab, skipReason } from "../support/lab.ts";
import { password as becomePassword } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { CLI, mitogen } from "./run-cli.ts";
import { TerminalRun } from "./screen-of.ts";

checkLeaks();

const MARK = "MITOGEN_PASSWORDS_TEST";

describe("passwords of the command line", { skip: skipReason(), concurrency: false }, () => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-passwords-"));
  const env = { XDG_STATE_HOME: join(folder, "state"), XDG_RUNTIME_DIR: folder };
  let sshd: ChildProcess;
  let log = "";
  let secret: string;
  let rootSecret: string;

  before(async () => {
    const { identityFile, knownHosts, passwordFile } = (lab() as NonNullable<ReturnType<typeof lab>>).ssh;
    secret = readFileSync(passwordFile, "utf8").trim();
    rootSecret = becomePassword().reveal();
    const port = await freePort();
    const config = readFileSync(join(dirname(identityFile), "main_config"), "utf8")
      .replace(/^ListenAddress .*$/m, `ListenAddress 127.0.0.1:${port}`)
      .replace(/^PidFile .*$/m, "PidFile none");
    writeFileSync(join(folder, "sshd_config"), config);
    // An sshd of this test alone, so that its log tells how often each password was tried.
    sshd = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd_config")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const listens = new Promise<void>((resolve) => {
      sshd.stderr?.setEncoding("utf8").on("data", (text: string) => {
        log += text;
        if (log.includes("Server listening")) resolve();
      });
    });
    await listens;
    const sshArgs = [
      "-F",
      "/dev/null",
      "-o",
      `UserKnownHostsFile=${knownHosts}`,
      "-o",
      `HostKeyAlias=[127.0.0.1]:${(lab() as NonNullable<ReturnType<typeof lab>>).ssh.port}`,
    ];
    const ssh = (username: string, more: object = {}): object => ({
      ssh: { hostname: "127.0.0.1", port, username, sshArgs, ...more },
    });
    writeFileSync(
      join(folder, "mitogen.config.json"),
      JSON.stringify({
        hosts: {
          one: ssh("mitogen-password"),
          two: ssh("mitogen-password"),
          key: ssh("mitogen-sudo-pw", { identityFile }),
          // With a password for the login as well.
          both: ssh("mitogen-sudo-pw"),
        },
      }),
    );
    const tell = '#!/bin/sh\n[ "$MITOGEN_PASSWORD_FOR" = login ] && exec cat login\nexec cat sudo\n';
    for (const [name, text] of [
      ["login", `${secret}\nsecond line\n`],
      ["sudo", `${rootSecret}\r\n`],
      ["tell", tell],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o700 });
    }
  });
  after(async () => {
    sshd.kill();
    await once(sshd, "close");
    rmSync(folder, { recursive: true });
  });

  const terminal = (mark: string, ...words: string[]): Promise<TerminalRun> =>
    TerminalRun.start(words, { cwd: folder, columns: 120, env: { ...env, [MARK]: mark } });
  const run = (...words: string[]): Promise<Ended> => mitogen(words, { cwd: folder, env });

  it("are asked for once, without echo, and before anything starts", async () => {
    const logins = log.length;
    const words = ["exec", "--on", "one,two", "--ask-password", "--", "sh", "-c", "echo begun; sleep 1000"];
    const on = await terminal("once", ...words);
    try {
      await on.see(/^Password for logins: *$/m);
      assert.deepEqual(programs("once"), ["mitogen"], "nothing else runs");
      assert.equal(log.slice(logins).includes("Connection from"), false, "nothing has connected to the sshd");
      await on.press("-l", secret);
      await on.press("Enter");
      const shown = await on.see(/one: begun[\s\S]*two: begun|two: begun[\s\S]*one: begun/, true);
      assert.equal(shown.match(/Password for/g)?.length, 1, shown);
      assert.deepEqual(whereIs(secret, "once"), [], "no process has it in its arguments or environment");
      await on.press("C-c");
      const { shown: all, status, stty } = await on.ended();
      assert.equal(status, 130);
      assert.equal(stty[0], stty[1], "the terminal echoes again");
      assert.equal(all.includes(secret), false, "not on the screen");
    } finally {
      await on.close();
    }
    assert.equal(log.slice(logins).match(/Accepted password/g)?.length, 2);
    assert.deepEqual(filesWith(secret, env.XDG_STATE_HOME), []);
  });

  it("of logins and sudo are two questions, and each is used for its own", async () => {
    const on = await terminal(
      "both",
      "exec",
      "--on",
      "both",
      "--sudo",
      "--ask-password",
      "--ask-sudo-password",
      "--",
      "id",
      "-un",
    );
    try {
      await on.see(/^Password for logins: *$/m);
      await on.press("-l", rootSecret);
      await on.press("Enter");
      await on.see(/^Password for sudo: *$/m);
      await on.press("-l", rootSecret);
      await on.press("Enter");
      const { shown, status } = await on.ended();
      assert.equal(status, 0, shown);
      assert.match(shown, /^both: root$/m);
      assert.equal(shown.includes(rootSecret), false);
    } finally {
      await on.close();
    }
  });

  it("that are wrong are tried once for each host, which then counts as unreachable, not failed", async () => {
    const logins = log.length;
    const on = await terminal("wrong", "exec", "--on", "one,two", "--ask-password", "--", "true");
    try {
      await on.see(/Password for logins:/);
      await on.press("-l", "not-the-password");
      await on.press("Enter");
      const { shown, status } = await on.ended(true);
      assert.equal(status, 3, shown);
      assert.match(
        shown,
        /^one: unreachable: Cannot connect with ssh\(\): the password [\s\S]*?is incorrect/m,
      );
      assert.match(shown, /^2 hosts: 2 unreachable/m);
      assert.equal(shown.includes("not-the-password"), false);
    } finally {
      await on.close();
    }
    assert.equal(log.slice(logins).match(/Failed password/g)?.length, 2, log.slice(logins));

    const command = "echo not-the-password";
    const words = [
      "exec",
      "--on",
      "key",
      "--sudo",
      "--ask-sudo-password",
      "--retry",
      "3",
      "--password-command",
    ];
    const sudo = await run(...words, command, "--json", "--", "true");
    assert.equal(sudo.code, 3, sudo.stderr);
    const [result] = JSON.parse(sudo.stdout).results;
    assert.equal(result.error.code, "ERR_PASSWORD");
    assert.match(result.error.message, /the password to become root is incorrect/);
    assert.equal(JSON.stringify(result).includes("not-the-password"), false);
  });

  it("need a terminal, or a command that prints them", async () => {
    const child = spawn(process.execPath, [CLI, "exec", "--on", "one", "--ask-password", "--", "true"], {
      ...{ cwd: folder, env: { ...process.env, ...env }, detached: true },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const [code] = await once(child, "close");
    assert.equal(code, 2, said);
    assert.match(said, /this program has no terminal; use --password-command$/m);
    assert.doesNotMatch(said, /pass password/, "that is for programs");
  });

  it("of a command are the first line of its output, for each purpose", async () => {
    const told = ["--password-command", "./tell"];
    const login = await run("exec", "--on", "one,two", ...told, "--", "id", "-un");
    assert.equal(login.code, 0, login.stderr);
    assert.match(login.stdout, /^two: mitogen-password$/m);
    const sudo = await run("exec", "--on", "key", "--sudo", ...told, "--", "id", "-un");
    assert.equal(sudo.stdout, "key: root\n", sudo.stderr);
  });

  it("of a command are those that the options ask for, and the command's stderr is shown", async () => {
    const command = 'echo "for $MITOGEN_PASSWORD_FOR" >&2; exec ./tell';
    for (const [words, asked] of [
      [["--on", "one"], ["for login"]],
      [["--on", "key", "--sudo", "--ask-sudo-password"], ["for sudo"]],
      [
        ["--on", "key", "--sudo"],
        ["for login", "for sudo"],
      ],
    ] as const) {
      const { code, stderr } = await run("exec", ...words, "--password-command", command, "--", "true");
      assert.equal(code, 0, stderr);
      assert.deepEqual(stderr.match(/^for .*/gm), asked);
    }
  });

  it("are not taken from a command that fails, prints none or too much", async () => {
    const cases: [string, RegExp][] = [
      ["echo secret-word; exit 3", /--password-command failed: it ended with exit code 3/],
      ["echo secret-word; kill -9 $$", /--password-command failed: it was ended by SIGKILL/],
      ["true", /--password-command printed no password/],
      ["echo; echo secret-word", /--password-command printed no password/],
      ["yes secret-word", /--password-command failed: it printed too much/],
      ["no-such-program", /--password-command failed: it ended with exit code 127/],
    ];
    const logins = log.length;
    for (const [command, message] of cases) {
      const { code, stderr } = await run("exec", "--on", "one", "--password-command", command, "--", "true");
      assert.equal(code, 2, command);
      assert.match(stderr, message);
      assert.equal(stderr.includes("secret-word"), false, stderr);
    }
    assert.equal(log.slice(logins).includes("Connection from"), false, "nothing has connected to the sshd");
  });
});

/** The processes of a run, by the environment that they inherited. */
function* processes(mark: string): Generator<{ args: string; environment: string }> {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = readFileSync(join("/proc", pid, "environ"), "latin1");
      if (!environment.includes(`${MARK}=${mark}\0`)) continue;
      yield { args: readFileSync(join("/proc", pid, "cmdline"), "latin1"), environment };
    } catch {
      // It has ended.
    }
  }
}

function programs(mark: string): string[] {
  return [...processes(mark)].map(({ args }) =>
    args.includes(CLI) ? "mitogen" : args.replaceAll("\0", " "),
  );
}

function whereIs(word: string, mark: string): string[] {
  const found = [...processes(mark)];
  assert.ok(found.length >= 3, "the program and an ssh for each host");
  return found.filter((each) => (each.args + each.environment).includes(word)).map(({ args }) => args);
}

function filesWith(word: string, folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path, "latin1").includes(word));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
