/** Questions of the real ssh and the answers: right and wrong passwords, passphrases, banners. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { PasswordError, Router, type SshOptions } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { type ConnectError, failureOfConnect } from "../support/connect-failure.ts";
import { lab, skipReason } from "../support/lab.ts";
import { password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const WRONG = "not-the-password";
const folder = mkdtempSync(join(tmpdir(), "mitogen-ssh-prompts-"));
after(() => rmSync(folder, { recursive: true }));

/** Options for an account that accepts no key. */
function withPassword(changes: Partial<SshOptions>): SshOptions {
  const { identityFile: _, ...options } = sshTo("mitogen-password", changes);
  return options;
}

async function failure(options: SshOptions): Promise<ConnectError> {
  const started = Date.now();
  const error = await failureOfConnect((router) => router.ssh(options));
  assert.ok(error instanceof PasswordError, String(error));
  assert.ok(Date.now() - started < 15_000, "long before the timeout");
  return error;
}

describe("ssh's password", { skip: skipReason() }, () => {
  it("fails the connect at the first refusal if it is wrong, and is not shown", async () => {
    const error = await failure(withPassword({ password: WRONG }));
    assert.match(error.message, /the password to log in to 127\.0\.0\.1 as mitogen-password is incorrect/);
    assert.equal(error.details.stderr.match(/Permission denied/g)?.length, 1, error.details.stderr);
    assert.ok(!inspect(error, { depth: 9 }).includes(WRONG));
  });

  it("is named as required if it is needed and not given, also when ssh could ask", async () => {
    for (const checkHostKeys of ["enforce", "accept"] as const) {
      const error = await failure(withPassword({ checkHostKeys }));
      assert.match(
        error.message,
        /a password is required to log in to 127\.0\.0\.1 as mitogen-password; pass/,
      );
    }
  });

  it("is not asked for by an account that accepts only keys, and the error says so", async () => {
    const { identityFile: _, ...options } = sshTo("mitogen-dash", { password: WRONG });
    const error = await failure(options);
    assert.match(error.message, /did not accept the login as mitogen-dash; it offers publickey/);
    assert.doesNotMatch(error.details.hint, /pass password/);
  });
});

describe("a key with a passphrase", { skip: skipReason() }, () => {
  const identityFile = join(folder, "locked");
  before(() => {
    // The key that the accounts accept, because ssh asks only for the passphrase of such a key.
    copyFileSync(lab()?.ssh.identityFile as string, identityFile);
    execFileSync("ssh-keygen", ["-q", "-p", "-N", "a phrase", "-f", identityFile]);
  });

  it("is skipped when ssh has no terminal", async () => {
    const error = await failure(sshTo("mitogen-dash", { identityFile }));
    assert.match(error.message, /did not accept the login/);
  });

  it("is skipped when ssh asks for the passphrase, and the password is next", async () => {
    const logs = collectLogs();
    await using router = new Router();
    const context = await router.ssh(sshTo("mitogen-sudo-pw", { identityFile, password: password() }));
    assert.equal(await context.call(remote.add, 1, 2), 3);
    logs.stop();
    assert.ok(logs.records.some(({ message }) => message.includes("Enter passphrase for key")));
  });
});

describe("a banner that asks like ssh", { skip: skipReason() }, () => {
  const BANNER = [
    "Your password:",
    "Are you sure you want to continue connecting (yes/no)?",
    "Permission denied (password).",
    "root@web1's password:",
  ];
  let sshArgs: string[];
  before(() => {
    const config = join(folder, "sshd_config");
    const banner = join(folder, "banner");
    const hostKey = join(folder, "host_key");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", hostKey]);
    writeFileSync(banner, `${BANNER.join("\n")}\n`);
    writeFileSync(
      config,
      `HostKey ${hostKey}\nBanner ${banner}\nUsePAM no\nPasswordAuthentication yes\n` +
        `PidFile none\nKbdInteractiveAuthentication no\nSetEnv PATH=${lab()?.ssh.users[0]?.path}\n`,
    );
    // An sshd for this one connection, on ssh's own pipe.
    const log = join(folder, "sshd.log");
    sshArgs = ["-o", `ProxyCommand=/usr/sbin/sshd -i -f ${config} -E ${log}`];
  });

  for (const sshDebugLevel of [0, 1]) {
    it(`is not answered at sshDebugLevel ${sshDebugLevel}, but the real question is`, async () => {
      const logs = collectLogs();
      await using router = new Router();
      let askedCount = 0;
      const ask = (): string => {
        askedCount += 1;
        return readFileSync(lab()?.ssh.passwordFile as string, "utf8").trim();
      };
      const checkHostKeys = "ignore";
      const context = await router.ssh(
        withPassword({ checkHostKeys, sshDebugLevel, sshArgs, password: ask }),
      );
      assert.equal(await context.call(remote.add, 1, 2), 3);
      assert.equal(askedCount, 1);
      logs.stop();
      const shown = BANNER.filter((line) => logs.records.some(({ message }) => message.endsWith(line)));
      assert.deepEqual(shown, sshDebugLevel === 0 ? [] : BANNER);
    });
  }

  it("does not fail the connect", async () => {
    await using router = new Router();
    const context = await router.ssh(
      sshTo("mitogen-dash", { checkHostKeys: "ignore", sshDebugLevel: 1, sshArgs }),
    );
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });
});
