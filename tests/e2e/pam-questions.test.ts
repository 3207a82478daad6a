/** PAM stacks that ask for more than a password, or for something else: real modules behind real tools. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  type Context,
  PasswordError,
  Router,
  Secret,
  type SudoOptions,
  type SuOptions,
  TimeoutError,
} from "../../src/index.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { failureOfConnect } from "../support/connect-failure.ts";
import { lab, skipReason } from "../support/lab.ts";
import { part, password } from "../support/lab-methods.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** One signature instead of the overloads, so that `call` infers the types. */
const whoAmI = userInfo as () => { username: string };
const GOOGLE = "Verification code:";
const OATH = "One-time password (OATH) for `mitogen-otp':";

const folder = mkdtempSync(join(tmpdir(), "mitogen-pam-"));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));

/** The tool as `account` would run it. */
function runAs(account: string, tool: "sudo" | "su"): string {
  const path = join(folder, `${account}-${tool}`);
  const setpriv = `setpriv --reuid ${account} --regid ${account} --init-groups`;
  writeFileSync(path, `#!/bin/sh\nexec ${setpriv} ${part("become").tools[tool]} "$@"\n`, { mode: 0o755 });
  return path;
}

function key(): Buffer {
  const [secret = ""] = readFileSync(part("become").oneTime.secretFile, "utf8").split("\n");
  const digits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter));
  const bits = digits.map((digit) => digit.toString(2).padStart(5, "0")).join("");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** A code by RFC 4226. */
function codeOf(counter: number): string {
  const message = Buffer.alloc(8);
  message.writeBigUInt64BE(BigInt(counter));
  const digest = createHmac("sha1", key()).update(message).digest();
  const at = (digest.at(-1) as number) & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** A code by RFC 6238. */
const codeNow = (): string => codeOf(Math.floor(Date.now() / 30_000));

/** Resets pam_oath, which counts codes and accepts each only once, and returns the code it expects next. */
function firstOathCode(): string {
  const { oathFile, both } = part("become").oneTime;
  writeFileSync(oathFile, `HOTP ${both} - ${key().toString("hex")}\n`, { mode: 0o600 });
  return codeOf(0);
}

/** A code that is wrong now, and for ten minutes before and after. */
const wrongCode = (): string => {
  const step = Math.floor(Date.now() / 30_000);
  const right = new Set(Array.from({ length: 41 }, (_, i) => codeOf(step - 20 + i)));
  return ["000000", "111111", "222222"].find((code) => !right.has(code)) as string;
};

function sudo(router: Router, account: string, options: SudoOptions): Promise<Context> {
  const nodePath = lab()?.node;
  return router.sudo({ nodePath, sudoPath: runAs(account, "sudo"), username: "mitogen-target", ...options });
}

function su(router: Router, options: SuOptions): Promise<Context> {
  const suPath = runAs("mitogen-sudo-denied", "su");
  return router.su({ nodePath: lab()?.node, suPath, username: part("become").oneTime.both, ...options });
}

describe("a stack of PAM", { skip: skipReason(), concurrency: false }, () => {
  it("of sudo that asks for the password and a code gets both", async () => {
    await using router = new Router();
    const context = await sudo(router, part("become").oneTime.both, {
      password: password(),
      answers: { [GOOGLE]: codeNow },
    });
    assert.equal((await context.call(whoAmI)).username, "mitogen-target");
  });

  it("of sudo that asks for a code alone gets it as the password, or as an answer", async () => {
    await using router = new Router();
    const { codeOnly } = part("become").oneTime;
    const contexts = [
      await sudo(router, codeOnly, { passwordPrompt: GOOGLE, password: codeNow }),
      await sudo(router, codeOnly, { answers: { "verification CODE:": new Secret(codeNow()) } }),
    ];
    for (const context of contexts) {
      assert.equal((await context.call(whoAmI)).username, "mitogen-target");
    }
  });

  it("of su that asks for the password and a code gets both", async () => {
    await using router = new Router();
    const context = await su(router, {
      password: password(),
      answers: { "(OATH) for `mitogen-otp':": firstOathCode() },
    });
    assert.equal((await context.call(whoAmI)).username, "mitogen-otp");
  });

  it("behind a hop gets what the program gives, and asks for it when it needs it", async () => {
    await using router = new Router();
    const login = await router.ssh(sshTo(part("become").oneTime.both));
    const asked: string[] = [];
    const give = (name: string, text: () => string) => (): string => {
      asked.push(name);
      return text();
    };
    const context = await router.sudo({
      via: login,
      username: "mitogen-target",
      nodePath: lab()?.node,
      password: give("password", () => password().reveal()),
      answers: { [GOOGLE]: give("code", codeNow), "never asked?": give("never", () => "") },
    });
    assert.equal((await context.call(whoAmI)).username, "mitogen-target");
    assert.deepEqual(asked, ["password", "code"]);
  });

  it("behind a hop fails with the message and the cause of a function that gives no code", async () => {
    const reason = new Error("the phone is at home");
    const error = await failureOfConnect(async (router) =>
      router.sudo({
        via: await router.ssh(sshTo(part("become").oneTime.both)),
        username: "mitogen-target",
        nodePath: lab()?.node,
        password: password(),
        answers: { [GOOGLE]: () => Promise.reject(reason) },
      }),
    );
    assert.equal(error.code, "ERR_STREAM");
    assert.match(error.message, /the answer to "Verification code:" was not given: the phone is at home/);
    assert.equal(error.cause, reason);
  });

  it("is named by the error when an answer is missing", async () => {
    const { both } = part("become").oneTime;
    const alone = await failureOfConnect((router) => sudo(router, both, { password: password() }));
    assert.equal(alone.code, "ERR_PASSWORD");
    assert.match(alone.summary ?? "", /; if PAM asks for more than the password, pass answers$/);
    const others = { "Colour?": "blue" };
    const unanswered = await failureOfConnect((router) =>
      sudo(router, both, { password: password(), answers: others, timeoutMs: 10_000 }),
    );
    assert.ok(unanswered instanceof TimeoutError, String(unanswered));
    assert.match(unanswered.message, /waiting for an answer to "Verification code:"; pass answers/);
    // This question looks like one for a password.
    firstOathCode();
    const asked = await failureOfConnect((router) => su(router, { password: password() }));
    assert.equal(asked.code, "ERR_PASSWORD");
    assert.ok(
      asked.message.includes(`if ${JSON.stringify(OATH)} asks for something else, pass answers`),
      asked.message,
    );
  });

  it("that refuses the code fails with what may be wrong, and nothing shows the answers", async () => {
    const code = wrongCode();
    const logs = collectLogs();
    const { both, codeOnly } = part("become").oneTime;
    const errors = [
      await failureOfConnect((router) =>
        sudo(router, both, { password: password(), answers: { [GOOGLE]: code } }),
      ),
      await failureOfConnect((router) => sudo(router, codeOnly, { answers: { [GOOGLE]: code } })),
      await failureOfConnect((router) => {
        firstOathCode();
        return su(router, { password: password(), answers: { "(OATH) for `mitogen-otp':": code } });
      }),
    ];
    logs.stop();
    for (const error of errors) {
      assert.ok(error instanceof PasswordError, String(error));
      assert.match(error.summary ?? "", /the answer to ".*" is incorrect; it was tried once/);
      const shown = `${error.stack}${JSON.stringify(error)}${logs.records.map(({ message }) => message)}`;
      for (const given of [code, password().reveal()]) assert.ok(!shown.includes(given), shown);
    }
    assert.match(errors[0]?.message ?? "", /the password to become mitogen-target or the answer to /);
  });

  it("leaves no answer in the description of a context", async () => {
    await using router = new Router();
    const context = await sudo(router, part("become").oneTime.codeOnly, { answers: { [GOOGLE]: codeNow() } });
    assert.equal(context.describe().connection?.options["answers"], "[secret]");
  });

  it("is not asked if the answers are invalid, because they are refused before anything starts", async () => {
    await using router = new Router();
    const wrong: [answers: unknown, code: string, said: RegExp][] = [
      ["123456", "ERR_INVALID_ARG_TYPE", /sudo\(\): answers must be an object of 1 to 20 answers/],
      [{}, "ERR_INVALID_ARG_VALUE", /answers must be an object of 1 to 20 answers/],
      [{ " ": "1" }, "ERR_INVALID_ARG_VALUE", /answers must be/],
      [{ [GOOGLE]: 123456 }, "ERR_INVALID_ARG_TYPE", /answers\["Verification code:"\] must be/],
      [{ [GOOGLE]: "12\n34" }, "ERR_INVALID_ARG_VALUE", /answers\["Verification code:"\] must be/],
    ];
    for (const [answers, code, message] of wrong) {
      await assert.rejects(router.sudo({ answers } as never), { code, message });
    }
    assert.equal(router.getStats().connectCount, 0);
  });
});
