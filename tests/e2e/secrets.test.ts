import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { type Context, PasswordError, Router, Secret } from "../../src/index.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { skipReason } from "../support/lab.ts";
import { password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** The command lines and environments of all processes of this machine. */
function everyProcess(): string {
  const texts: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const file of ["cmdline", "environ"]) {
      try {
        texts.push(readFileSync(`/proc/${pid}/${file}`, "latin1"));
      } catch {
        // The process has ended meanwhile.
      }
    }
  }
  return texts.join("\n");
}

describe("a password", { skip: skipReason() }, () => {
  const connects: [
    string,
    (router: Router, login: Context, secret: Secret | (() => Promise<string>)) => Promise<Context>,
  ][] = [
    ["sudo", (router, via, secret) => router.sudo({ via, username: "mitogen-target", password: secret })],
    ["su", (router, via, secret) => router.su({ via, username: "mitogen-target", password: secret })],
  ];
  for (const [name, connect] of connects) {
    for (const isRight of [true, false]) {
      it(`of ${name} that is ${isRight ? "right" : "wrong"} appears in no argv, environment, log, error or object`, async () => {
        const logs = collectLogs("io");
        await using router = new Router();
        const login = await router.ssh(sshTo("mitogen-sudo-pw"));
        const text = isRight ? password().reveal() : "the-wrong-pass-word";
        const secret = new Secret(text);
        const seen: string[] = [];
        const connecting = connect(router, login, secret);
        seen.push(everyProcess());
        const started = Date.now();
        const outcome = await connecting.catch((error: Error) => error);
        seen.push(everyProcess());
        if (!isRight) {
          assert.ok(outcome instanceof PasswordError, inspect(outcome));
          assert.match(outcome.message, /incorrect|not accepted/i);
          assert.ok(Date.now() - started < 15_000);
        } else assert.ok(!(outcome instanceof Error), inspect(outcome));
        seen.push(
          inspect(outcome, { depth: 10, showHidden: true }),
          inspect(router, { depth: 6, showHidden: true }),
        );
        seen.push(JSON.stringify(logs.records.map(({ logger, message }) => [logger, message])));
        for (const shown of seen) assert.ok(!shown.includes(text));
        logs.stop();
      });
    }
  }

  it("may come from a function, which is called once, and only if there is a prompt", async () => {
    await using router = new Router();
    const login = await router.ssh(sshTo("mitogen-sudo-pw"));
    let asked = 0;
    const ask = async (): Promise<string> => {
      asked += 1;
      return password().reveal();
    };
    const context = await router.sudo({ via: login, username: "mitogen-target", password: ask });
    assert.equal(asked, 1);
    await router
      .sudo({ username: "mitogen-target", password: ask, nodePath: process.execPath })
      .catch(() => undefined);
    assert.equal(asked, 1, "root needs none");
    assert.equal(typeof (await context.call(process.getuid as () => number)), "number");
  });

  it("that is needed and not given fails the connect with PasswordError", async () => {
    await using router = new Router();
    const login = await router.ssh(sshTo("mitogen-sudo-pw"));
    const error = await router
      .sudo({ via: login, username: "mitogen-target" })
      .catch((reason: Error) => reason);
    assert.ok(error instanceof PasswordError, inspect(error));
    assert.match(error.message, /required/);
    assert.match(error.message, /^ssh\.127\.0\.0\.1/);
  });
});
