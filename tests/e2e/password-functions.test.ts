import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Context, Router, type StreamError } from "../../src/index.ts";
import { lab, skipReason } from "../support/lab.ts";
import { password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

describe("a password function", { skip: skipReason(), concurrency: false }, () => {
  let router: Router;
  let login: Context;
  before(async () => {
    router = new Router();
    login = await router.ssh(sshTo("mitogen-sudo-pw"));
  });
  after(() => router.shutdown());

  const sudo = (password: () => Promise<string>, timeoutMs?: number): Promise<Context> =>
    router.sudo({ via: login, username: "mitogen-target", nodePath: lab()?.node, password, timeoutMs });

  it("that fails behind a hop gives the error its message and its cause", async () => {
    const reason = Object.assign(new Error("the vault is shut"), { code: "ESHUT" });
    const error = (await sudo(() => Promise.reject(reason)).catch((thrown) => thrown)) as StreamError;
    assert.equal(error.code, "ERR_STREAM");
    assert.match(
      error.message,
      /Cannot connect with sudo\(\): the password was not given: the vault is shut$/m,
    );
    assert.equal(error.cause, reason);
  });

  it("may take longer than the connect, here and behind a hop", async () => {
    // Longer than the whole time that a hop has.
    const slow = async (text: string): Promise<string> => {
      await pause(11_500);
      return text;
    };
    const { identityFile: _, ...byPassword } = sshTo("mitogen-password");
    const given = readFileSync(lab()?.ssh.passwordFile as string, "utf8").trim();
    const contexts = await Promise.all([
      sudo(() => slow(password().reveal()), 6000),
      router.ssh({ ...byPassword, timeoutMs: 11_000, password: () => slow(given) }),
    ]);
    for (const context of contexts) assert.equal(await context.call(hostname), hostname());
  });
});
