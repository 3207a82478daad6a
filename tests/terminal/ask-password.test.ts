import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { it, test } from "node:test";
import { askPassword } from "../../src/index.ts";
import { quoteForSh } from "../../src/text/shell-quote.ts";
import { lab, repoRoot, skipReason } from "../support/lab.ts";
import { password } from "../support/lab-methods.ts";
import { runProgram } from "../support/run-program.ts";
import { sshTo } from "../support/ssh-options.ts";

const PROGRAM = "asks-password.mjs";
const CTRL_C = "\x03";
const CTRL_D = "\x04";
const CTRL_Z = "\x1a";
const BACKSPACE = "\x7f";

/** Runs the program on a pseudo-terminal of its own, and keeps what appears there. */
class OnTerminal {
  readonly #script: ChildProcessWithoutNullStreams;
  readonly ended: Promise<unknown>;
  screen = "";

  constructor(...args: string[]) {
    const path = join(repoRoot, "tests/fixtures/programs", PROGRAM);
    const line = [process.execPath, path, ...args].map(quoteForSh).join(" ");
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    this.#script = spawn("script", ["-qefc", line, "/dev/null"], {
      env: { ...env, SHELL: "/bin/sh" },
      cwd: repoRoot,
    });
    this.#script.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.screen += text;
    });
    this.ended = once(this.#script, "close");
  }

  async shows(text: string, times = 1): Promise<void> {
    while (this.screen.split(text).length <= times) {
      const more = once(this.#script.stdout, "data");
      const over = this.ended.then(() =>
        Promise.reject(new Error(`It ended without ${text}: ${this.screen}`)),
      );
      await Promise.race([more, over]);
    }
  }

  type(text: string): void {
    this.#script.stdin.write(text);
  }
}

it("askPassword asks once, without echo, for all connects that need it", { skip: skipReason() }, async () => {
  const settings = JSON.stringify({ ssh: sshTo("mitogen-sudo-pw"), nodePath: lab()?.node });
  const terminal = new OnTerminal("sudo", settings);
  await terminal.shows("sudo password: ");
  terminal.type(`x${BACKSPACE}${password().reveal()}\n`);
  await terminal.shows("became mitogen-target,mitogen-target");
  await terminal.ended;
  assert.equal(terminal.screen.split("sudo password: ").length, 2, terminal.screen);
  assert.ok(!terminal.screen.includes(password().reveal()));
});

test("askPassword asks one question at a time", async () => {
  const terminal = new OnTerminal("two");
  await terminal.shows("first: ");
  assert.ok(!terminal.screen.includes("second"));
  terminal.type("hunter2\n");
  await terminal.shows("second: ");
  terminal.type("hunter22\n");
  await terminal.shows("got 7 and 8: [secret]");
  await terminal.ended;
  assert.ok(!terminal.screen.includes("hunter"), terminal.screen);
});

test("askPassword rejects when the question is given up, and Ctrl-C is SIGINT", async () => {
  for (const [key, expected] of [
    [CTRL_D, 'ERR_MITOGEN Cannot ask "mine": the question was not answered'],
    [CTRL_C, 'ERR_MITOGEN Cannot ask "mine": the question was interrupted'],
  ] as const) {
    const terminal = new OnTerminal(key === CTRL_C ? "interrupt" : "give-up");
    await terminal.shows("mine: ");
    terminal.type(key);
    await terminal.shows(expected);
    if (key === CTRL_C) await terminal.shows("SIGINT");
    await terminal.ended;
  }
});

test("askPassword continues its question after Ctrl-Z and fg", async () => {
  const terminal = new OnTerminal("stop");
  await terminal.shows("mine? ");
  terminal.type(CTRL_Z);
  await terminal.shows("stopped");
  await terminal.shows("mine? ", 2);
  terminal.type("hunter2\n");
  await terminal.shows("got 7");
  await terminal.ended;
  assert.ok(!terminal.screen.includes("?:"), terminal.screen);
});

test("askPassword gives up after timeoutMs, and releases the terminal", async () => {
  const terminal = new OnTerminal("timeout");
  await terminal.shows('ERR_TIMEOUT Cannot ask "slow": no answer within 100 ms');
  await terminal.ended;
});

test("askPassword says that there is no terminal", async () => {
  // In a session of its own, as under cron.
  const { stdout } = await runProgram(PROGRAM, { args: ["give-up"], ownGroup: true }).ended;
  assert.match(
    stdout,
    /^ERR_MITOGEN Cannot ask "mine": this program has no terminal; pass password as a Secret/,
  );
});

test("askPassword checks its arguments", () => {
  assert.throws(() => askPassword(""), { code: "ERR_INVALID_ARG_VALUE" });
  assert.throws(() => askPassword("x", { timeout: 1 } as never), /has no option "timeout"/);
});
