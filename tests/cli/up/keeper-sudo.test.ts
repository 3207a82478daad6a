/** `--sudo` behind the connections that `mitogen up` keeps, with a real sshd and a real sudo. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import type { Ended } from "../../support/end-of.ts";
import { skipReason } from "../../support/lab.ts";
import { password } from "../../support/lab-methods.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { sshTo } from "../../support/ssh-options.ts";
import { CLI, cleanEnvironment, mitogen } from "../run-cli.ts";

checkLeaks();

describe("--sudo on kept connections", { skip: skipReason(), concurrency: false }, () => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-cli-kept-sudo-"));
  const env = {
    XDG_STATE_HOME: join(folder, "state"),
    XDG_RUNTIME_DIR: join(folder, "run"),
    PATH: `${join(folder, "bin")}:${process.env["PATH"]}`,
  };
  const run = (...words: string[]): Promise<Ended> => mitogen(words, { cwd: folder, env });
  const logins = (): number => readFileSync(join(folder, "logins"), "utf8").length;

  before(async () => {
    for (const name of ["run", "bin"]) mkdirSync(join(folder, name), { mode: 0o700 });
    const scripts = {
      "bin/ssh": `#!/bin/sh\nprintf x >> ${folder}/logins\nexec /usr/bin/ssh "$@"\n`,
      tell: `#!/bin/sh\nprintf "%s " "$MITOGEN_PASSWORD_FOR" >> ${folder}/purposes\ncat ${folder}/secret\n`,
    };
    writeFileSync(join(folder, "secret"), password().reveal(), { mode: 0o600 });
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(folder, name), text);
      chmodSync(join(folder, name), 0o755);
    }
    const hosts = { pw: { ssh: sshTo("mitogen-sudo-pw") }, nopw: { ssh: sshTo("mitogen-sudo-nopw") } };
    writeFileSync(join(folder, "mitogen.config.json"), JSON.stringify({ hosts }));
    const up = await run("up", "--on", "pw,nopw");
    assert.equal(up.stdout, "kept  2 of 2 hosts\n", up.stderr);
    assert.equal(logins(), 2);
  });
  after(async () => {
    await run("down");
    rmSync(folder, { recursive: true });
  });

  it("starts sudo on the hosts, asks only for its password, and ends it with the command", async () => {
    const told = ["--ask-password", "--ask-sudo-password", "--password-command", "./tell"];
    const root = await run(
      "exec",
      "--on",
      "pw,nopw",
      "--sudo",
      ...told,
      "--shell",
      "--",
      "id -un; echo $PPID",
    );
    assert.equal(root.code, 0, root.stderr);
    assert.doesNotMatch(root.stderr, /anew/);
    assert.match(root.stdout, /^pw: root$/m);
    assert.match(root.stdout, /^nopw: root$/m);
    assert.equal(logins(), 2, "no login but those of up");
    assert.equal(readFileSync(join(folder, "purposes"), "utf8"), "sudo ");
    const contexts = [...root.stdout.matchAll(/: (\d+)$/gm)].map(([, pid]) => pid as string);
    assert.equal(contexts.length, 2, root.stdout);
    for (const pid of contexts) await gone(() => existsSync(`/proc/${pid}`));

    const plain = await run("exec", "--on", "pw,nopw", "--", "id", "-un");
    assert.match(plain.stdout, /^pw: mitogen-sudo-pw$/m, "a command that does not ask for root is not root");
    assert.match(plain.stdout, /^nopw: mitogen-sudo-nopw$/m);
    const other = await run("exec", "--on", "nopw", "--sudo=mitogen-target", "--", "id", "-un");
    assert.equal(other.stdout, "nopw: mitogen-target\n", other.stderr);
    assert.equal(logins(), 2);
  });

  it("reports what sudo refuses, and keeps the connections", async () => {
    const none = await run("exec", "--on", "pw,nopw", "--sudo", "--", "true");
    assert.equal(none.code, 3);
    assert.match(
      none.stderr,
      /^pw: unreachable: .*a password is required to become root; use --ask-sudo-password$/m,
    );
    assert.match(none.stderr, /^2 hosts: 1 ok, 1 unreachable/m);
    const words = ["--sudo", "--ask-sudo-password", "--password-command", "echo wrong"];
    const wrong = await run("exec", "--on", "pw", ...words, "--", "true");
    assert.equal(wrong.code, 3);
    assert.match(wrong.stderr, /the password to become root is incorrect/);
    assert.equal((await run("exec", "--on", "pw,nopw", "--", "true")).code, 0);
    assert.equal(logins(), 2);
  });

  for (const sudo of [[], ["--sudo"]]) {
    it(`ends the work of an interrupted command ${sudo.join()}`, async () => {
      const words = ["exec", "--on", "nopw", ...sudo, "--shell", "--", "echo $$; exec sleep 1000"];
      const child = spawn(process.execPath, [CLI, ...words], {
        ...{ cwd: folder, env: cleanEnvironment(env) },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = once(child, "close");
      let said = "";
      await new Promise<void>((resolve) => {
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          said += text;
          if (said.includes("\n")) resolve();
        });
        child.once("close", () => resolve());
      });
      const pid = /^nopw: (\d+)$/m.exec(said)?.[1];
      assert.ok(pid !== undefined && existsSync(`/proc/${pid}`), said);
      child.kill("SIGINT");
      const [code] = await ended;
      assert.equal(code, 130);
      await gone(() => existsSync(`/proc/${pid}`));
      assert.equal(
        (await run("exec", "--on", "pw,nopw", "--", "true")).stderr,
        "2 hosts: 2 ok\n",
        "the connections stay",
      );
    });
  }

  it("is not for other users, who cannot open the socket", {
    skip: process.getuid?.() === 0 ? false : "needs root, to be another user",
  }, async () => {
    // The folders above are open, so only the folder of up keeps the other user out.
    for (const path of [folder, env.XDG_RUNTIME_DIR]) chmodSync(path, 0o755);
    const socket = join(env.XDG_RUNTIME_DIR, "mitogen/up.sock");
    const program = `require("net").connect(${JSON.stringify(socket)}).on("error", ({ code }) => console.log(code)).on("connect", () => process.exit())`;
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", program], {
      uid: 65534,
      gid: 65534,
    });
    assert.equal(stdout, "EACCES\n");
  });
});

/** Polls until something is gone, because nothing reports its end. */
async function gone(isThere: () => boolean): Promise<void> {
  const until = Date.now() + 60_000;
  while (isThere()) {
    assert.ok(Date.now() < until, "it is still there");
    await pause(30);
  }
}
