/** sudo, su and doas of the lab, run as accounts that may, may not, or may with a password. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { type Context, EofError, PasswordError, Router, type Secret } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { type ConnectError, failureOfConnect } from "../support/connect-failure.ts";
import { lab, skipReason } from "../support/lab.ts";
import { part, password } from "../support/lab-methods.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

type Method = "sudo" | "su" | "doas";
type Options = {
  username?: string;
  login?: boolean;
  password?: string | Secret | (() => Promise<string>);
  incorrectPrompts?: string[];
};

/** One signature instead of the overloads, so that `call` infers the types. */
const whoAmI = userInfo as () => { username: string };
const WRONG = "not-the-password";

const folder = mkdtempSync(join(tmpdir(), "mitogen-become-"));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));

/** The tool as `account` would run it. */
function runAs(account: string, tool: Method): string {
  const path = join(folder, `${account}-${tool}`);
  const setpriv = `setpriv --reuid ${account} --regid ${account} --init-groups`;
  writeFileSync(path, `#!/bin/sh\nexec ${setpriv} ${part("become").tools[tool]} "$@"\n`, { mode: 0o755 });
  return path;
}

function become(router: Router, method: Method, account: string, options: Options): Promise<Context> {
  const nodePath = lab()?.node;
  const path = runAs(account, method);
  switch (method) {
    case "sudo":
      return router.sudo({ nodePath, sudoPath: path, ...options });
    case "su":
      return router.su({ nodePath, suPath: path, ...options });
    case "doas":
      return router.doas({ nodePath, doasPath: path, ...options });
    default:
      return method satisfies never;
  }
}

const failure = (method: Method, account: string, options: Options): Promise<ConnectError> =>
  failureOfConnect((router) => become(router, method, account, options));

describe("become", { skip: skipReason() }, () => {
  const target = "mitogen-target";
  const right = (): Options => ({ username: target, password: password() });

  const successes: [title: string, Method, account: string, () => Options, user?: string][] = [
    ["sudo without a password", "sudo", "mitogen-sudo-nopw", () => ({ username: target })],
    ["sudo to root", "sudo", "mitogen-sudo-nopw", () => ({}), "root"],
    ["sudo with login", "sudo", "mitogen-sudo-nopw", () => ({ username: target, login: true })],
    ["sudo, whose password nobody needs", "sudo", "mitogen-sudo-nopw", right],
    ["sudo with a password", "sudo", "mitogen-sudo-pw", right],
    ["sudo with requiretty", "sudo", "mitogen-sudo-tty", right],
    ["sudo with use_pty, pwfeedback and a lecture", "sudo", "mitogen-sudo-pty", right],
    ["su with a password", "su", "mitogen-sudo-denied", right],
    ["doas without a password", "doas", "mitogen-doas-nopw", () => ({ username: target })],
    ["doas with a password", "doas", "mitogen-doas-pw", right],
    [
      "a password from a function",
      "sudo",
      "mitogen-sudo-pw",
      () => ({ username: target, password: async () => password().reveal() }),
    ],
  ];
  for (const [title, method, account, options, user = target] of successes) {
    it(`connects by ${title}`, async () => {
      await using router = new Router();
      const context = await become(router, method, account, options());
      assert.equal(context.name, `${method}.${user}`);
      assert.equal((await context.call(whoAmI)).username, user);
    });
  }

  const asked: [Method, account: string][] = [
    ["sudo", "mitogen-sudo-pw"],
    ["sudo", "mitogen-sudo-tty"],
    ["sudo", "mitogen-sudo-pty"],
    ["su", "mitogen-sudo-denied"],
    ["doas", "mitogen-doas-pw"],
  ];
  for (const [method, account] of asked) {
    it(`${method} of ${account} fails without a password`, async () => {
      const error = await failure(method, account, { username: target });
      assert.ok(error instanceof PasswordError, String(error));
      assert.match(error.message, /a password is required to become mitogen-target; pass password/);
      assert.equal(error.details.stage, "transport");
    });

    it(`${method} of ${account} fails with a wrong password, and does not show it`, async () => {
      const error = await failure(method, account, { username: target, password: WRONG });
      assert.ok(error instanceof PasswordError, String(error));
      assert.match(error.message, /the password to become mitogen-target is incorrect/);
      assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(WRONG));
    });
  }

  it("names the option for a refusal that it does not understand, as in another language", async () => {
    const options: Options = { username: target, password: WRONG, incorrectPrompts: ["verweigert"] };
    const refused = await failure("su", "mitogen-sudo-denied", options);
    assert.match(
      refused.message,
      /; pass incorrectPrompts if "(Password: )?su: Authentication failure" refuses the password/,
    );
    assert.equal(refused.code, "ERR_EOF");
  });

  it("fails with the tool's own words when no password would help", async () => {
    const cases: [Method, account: string, Options, said: RegExp][] = [
      ["sudo", "mitogen-sudo-denied", right(), /not in the sudoers file/],
      ["sudo", "mitogen-sudo-nopw", { username: "nosuch" }, /unknown user:? nosuch/],
      ["doas", "mitogen-sudo-denied", right(), /Operation not permitted/],
      ["su", "mitogen-sudo-denied", { username: "nosuch" }, /user nosuch does not exist/],
    ];
    for (const [method, account, options, said] of cases) {
      const error = await failure(method, account, options);
      assert.ok(error instanceof EofError && !(error instanceof PasswordError), String(error));
      assert.match(error.details.stderr, said);
      // The prompt that the library makes up for sudo is not shown either.
      assert.doesNotMatch(`${error.message}${error.details.stderr}`, /mitogen-sudo-[0-9a-f]{8}:/);
    }
  });

  it("fails with the shell's words for an account that may not log in", async () => {
    await using router = new Router();
    await assert.rejects(router.su({ username: "mitogen-nologin" }), {
      code: "ERR_NO_SHELL",
      message: /account is currently not available/,
    });
  });

  it("boots through whatever login shell su finds", async () => {
    await using router = new Router();
    for (const username of ["mitogen-dash", "mitogen-bash", "mitogen-zsh", "mitogen-fish", "mitogen-tcsh"]) {
      const context = await router.su({ username, nodePath: lab()?.node });
      assert.equal((await context.call(whoAmI)).username, username);
    }
  });

  for (const [what, end] of [
    ["its parent is killed", (login: Context) => login.call(remote.killYourself).catch(() => undefined)],
    ["its parent is shut down", (login: Context) => login.shutdown()],
    ["it hangs and is shut down", (_login: Context, root: Context) => root.shutdown()],
  ] as const) {
    it(`a root process, which its parent may not signal, ends when ${what}`, async () => {
      await using router = new Router();
      const login = await router.ssh(sshTo("mitogen-sudo-nopw"));
      const root = await router.sudo({ via: login });
      assert.equal((await root.call(whoAmI)).username, "root");
      const pid = await root.call(remote.pid);
      const hung = root.call(remote.hang).catch(() => undefined);
      await end(login, root);
      await hung;
      assert.deepEqual(await processesGone([pid], 5000), []);
    });
  }

  it("a context on a terminal works after the password prompt, and can be shut down", async () => {
    await using router = new Router();
    const context = await become(router, "doas", "mitogen-doas-pw", right());
    assert.equal((await context.call(whoAmI)).username, target);
    await context.shutdown({ wait: true });
    await assert.rejects(context.call(whoAmI));
  });
});
