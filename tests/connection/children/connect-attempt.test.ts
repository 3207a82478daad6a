import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { inspect } from "node:util";
import { ConnectAttempt, type Connected } from "../../../src/connection/children/connect-attempt.ts";
import type { ConnectionMethod } from "../../../src/connection/methods/method.ts";
import { methods } from "../../../src/connection/methods/methods.ts";
import {
  type ConnectDetails,
  EofError,
  PasswordError,
  StreamError,
  TimeoutError,
} from "../../../src/errors.ts";
import { collectLogs } from "../../support/collect-logs.ts";
import { sampleOf } from "../../support/extent.ts";
import { makeFakeTool, type Step } from "../../support/fake-tool.ts";
import { checkLeaks, descendants } from "../../support/leak-check.ts";
import { setEnvironment } from "../../support/temporary-folder.ts";

// Neither a tool nor a connect keeps a program alive, so this timer does. It ends before the leak check, which
// looks at timers too.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

const SECRET = "hunter2-ñ-swordfish";
const WRONG = "wrong-horse-battery";
const CONFIG = {
  contextId: 1,
  parentIds: [0],
  remoteName: "test",
  logLevel: 2,
  maxMessageBytes: 1 << 20,
  unidirectional: false,
};

const folder = mkdtempSync(join(tmpdir(), "mitogen-fake-tool-"));
after(() => rmSync(folder, { recursive: true }));

let count = 0;
/** The terminal of a process below another one. */
function terminalBelow(pid: number): string {
  const numbers = descendants(pid).map((each) =>
    Number(readFileSync(`/proc/${each}/stat`, "latin1").split(") ")[1]?.split(" ")[4]),
  );
  // man 5 proc, "tty_nr": the minor number is in bits 31 to 20 and 7 to 0.
  const number = numbers.find((each) => each !== 0) as number;
  return `/dev/pts/${((number >>> 12) & 0xfff00) | (number & 0xff)}`;
}

const fake = (steps: readonly Step[], options?: { onTerminal?: boolean; pauseMs?: number }) =>
  makeFakeTool(folder, `tool${count++}`, steps, options);

type Options = { [option: string]: unknown };
type ConnectError = Error & { details: ConnectDetails };

const attempt = (method: string, options: Options): ConnectAttempt<Options> =>
  new ConnectAttempt(methods[method] as ConnectionMethod<Options>, {
    timeoutMs: 15_000,
    nodePath: process.execPath,
    ...options,
  });

async function connects(method: string, options: Options): Promise<void> {
  const { tool, ready } = await attempt(method, options).run(CONFIG);
  try {
    assert.equal(ready.nodeVersion, process.versions.node);
    assertNoCommandShows(SECRET);
  } finally {
    await endOf({ tool });
  }
}

async function endOf({ tool }: Pick<Connected, "tool">): Promise<void> {
  tool.stdout.resume();
  tool.promptOut.resume();
  tool.stdin.end();
  await tool.end(3000);
}

async function failure(method: string, options: Options): Promise<ConnectError> {
  const connecting = attempt(method, options);
  try {
    await connecting.run(CONFIG);
  } catch (error) {
    for (const text of [SECRET, WRONG]) {
      for (const shown of [
        String(error),
        inspect(error),
        JSON.stringify(error),
        inspect(connecting, { depth: 9 }),
      ]) {
        assert.ok(!shown.includes(text), shown);
      }
    }
    return error as ConnectError;
  }
  return assert.fail("it connected");
}

function assertNoCommandShows(text: string): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      assert.ok(!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text));
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error; // else it has ended
    }
  }
}

/** Method, the option that names its tool, its question, options. */
const tools: [string, string, string, Options][] = [
  ["sudo", "sudoPath", "%p", {}],
  ["sudo", "sudoPath", "[sudo: %p] Mot de passe\u00a0: ", {}],
  ["su", "suPath", "Password: ", {}],
  ["su", "suPath", "密码：", {}],
  ["doas", "doasPath", "\rdoas (ada@web1) password: ", {}],
  ["ssh", "sshPath", "ada@web1's password: ", { hostname: "web1" }],
];

describe("a tool that asks one byte at a time", () => {
  for (const [method, path, prompt, options] of tools) {
    const onTerminal = method === "doas" || method === "ssh";
    const title = `${method}, ${JSON.stringify(prompt)}`;

    it(`${title}: is given the password once, and nothing else before the payload`, async () => {
      const tool = fake(
        [{ say: "Hello\n" }, { say: prompt }, { expect: SECRET }, { say: "\n" }, { run: true }],
        {
          onTerminal,
        },
      );
      await connects(method, { ...options, [path]: tool.path, password: SECRET });
      assert.deepEqual(tool.lines(), [SECRET]);
    });

    it(`${title}: a second question ends the connect after one attempt`, async () => {
      const wrong: Step[] = [{ say: "\nHm.\n" }, { say: prompt }, { expect: SECRET }, { exit: 1 }];
      const tool = fake([{ say: prompt }, { expect: SECRET, wrong }, { run: true }], { onTerminal });
      const error = await failure(method, { ...options, [path]: tool.path, password: WRONG });
      assert.ok(error instanceof PasswordError, String(error));
      assert.match(error.message, /the password .* is incorrect/);
      assert.deepEqual(tool.lines(), [WRONG]);
    });
  }

  it("and finds no terminal left: the error names the limit", async (t) => {
    const bin = mkdtempSync(join(folder, "bin-"));
    const script = `#!/bin/sh
[ "$1" = --version ] && exec echo "script from util-linux 2.39"
echo "script: failed to create pseudo-terminal: No space left on device" >&2; exit 1
`;
    writeFileSync(join(bin, "script"), script, { mode: 0o755 });
    setEnvironment(t, { PATH: `${bin}:${process.env.PATH}` });
    const error = await failure("doas", { doasPath: fake([]).path, password: SECRET });
    assert.ok(error instanceof EofError, String(error));
    assert.match(error.details.hint, /^no terminal is free there: .*sysctl kernel\.pty\.max\)$/);
    assert.match(error.details.stderr, /No space left on device/);
  });

  it("fails the connect at once if no password was given", async () => {
    for (const [method, path, prompt, options] of tools) {
      // Without a password, ssh is told not to ask, and has no terminal. Its stdin carries the payload, so the
      // stand-in does not read it.
      const onTerminal = method === "doas";
      const listens: Step = method === "ssh" ? { wait: true } : { expect: SECRET };
      const tool = fake([{ say: prompt }, listens], { onTerminal, pauseMs: 1 });
      const error = await failure(method, { ...options, [path]: tool.path });
      assert.ok(error instanceof PasswordError, String(error));
      assert.match(error.message, /a password is required/);
      assert.deepEqual(tool.lines(), []);
    }
  });

  it("may refuse slowly, in two pieces of a line", async () => {
    const refusal: Step[] = [{ say: "su: Authentication fail" }, { say: "ure\n" }, { exit: 1 }];
    const tool = fake([{ say: "Password: " }, { expect: SECRET, wrong: refusal }], { pauseMs: 30 });
    const error = await failure("su", { suPath: tool.path, password: WRONG });
    assert.ok(error instanceof PasswordError);
    assert.match(error.details.stderr, /Authentication failure/);
  });

  it("may ask nothing at all", async () => {
    for (const [method, path, , options] of sampleOf(2, tools)) {
      const tool = fake([{ say: "Last login: yesterday\n" }, { run: true }], { pauseMs: 1 });
      await connects(method, { ...options, [path]: tool.path, password: SECRET });
      assert.deepEqual(tool.lines(), []);
    }
  });

  it("and demands a terminal gets one", async () => {
    const steps: Step[] = [{ say: "%p" }, { expect: SECRET }, { run: true }];
    const needTerminal = "sudo: sorry, you must have a tty to run sudo\n";
    const tool = fake([{ needTerminal }, ...steps]);
    // The stand-in asks on stderr, which is the terminal then, but reads its stdin. So the test only sees that
    // the stand-in was started again.
    const error = await failure("sudo", { sudoPath: tool.path, password: SECRET, timeoutMs: 2000 });
    assert.equal(tool.runs(), 2);
    assert.ok(error instanceof TimeoutError);
  });

  it("has the terminal as its stdin if it is su", async () => {
    const path = join(folder, "su");
    // A shell script, because node would close the descriptors by which the transport passes su.
    const script = `#!/bin/sh
[ -t 0 ] || { echo "su: must be run from a terminal" >&2; exit 1; }
printf "Password: " >&2
read -r line
[ "$line" = '${SECRET}' ] || exit 1
exec sh -c "$3"
`;
    writeFileSync(path, script, { mode: 0o755 });
    await connects("su", { suPath: path, password: SECRET });
  });
});

describe("a connect through a tool that asks", () => {
  it("fails with the reason why the password was not given", async () => {
    const reason = new Error("the vault is shut");
    const tool = fake([{ say: "%p" }, { expect: SECRET }]);
    const password = (): Promise<string> => Promise.reject(reason);
    const error = await failure("sudo", { sudoPath: tool.path, password });
    assert.ok(error instanceof StreamError);
    assert.equal(error.cause, reason);
    assert.match(error.message, /the password was not given: the vault is shut$/m);
  });

  it("times out on a question it does not know, and quotes it", async () => {
    const tool = fake([{ say: "Verification code: " }, { expect: "" }]);
    const error = await failure("su", { suPath: tool.path, password: SECRET, timeoutMs: 1500 });
    assert.ok(error instanceof TimeoutError);
    assert.match(error.details.hint, /an answer to "Verification code:"/);
  });

  it("keeps the tool's words, and shows the password nowhere even if the tool echoes it", async () => {
    const logs = collectLogs();
    const steps: Step[] = [{ say: "%p" }, { expect: SECRET }, { say: `you said ${SECRET}\n` }, { exit: 3 }];
    const error = await failure("sudo", { sudoPath: fake(steps).path, password: SECRET });
    logs.stop();
    assert.ok(error instanceof EofError);
    assert.equal(error.details.exitCode, 3);
    assert.match(error.details.stderr, /you said \[secret\]/);
    assert.ok(logs.records.some(({ message }) => message.includes("you said [secret]")));
    assert.ok(!logs.records.some(({ message }) => message.includes(SECRET)));
  });

  it("says which tool is missing, even behind a terminal", async () => {
    for (const [method, path, , options] of tools) {
      const error = await failure(method, { ...options, [path]: "/nonexistent/tool", password: SECRET });
      assert.match(error.details.hint, /(there is no "|check whether )\/nonexistent\/tool/, method);
    }
  });

  it("can be cancelled while it waits for the password", async () => {
    const tool = fake([{ say: "Password: " }, { expect: SECRET }], { onTerminal: true });
    const connecting = attempt("doas", {
      doasPath: tool.path,
      password: () => new Promise<string>(() => undefined),
    });
    const failed = assert.rejects(connecting.run(CONFIG), { code: "ERR_CANCELLED" });
    while (tool.runs() === 0) await pause(10);
    await connecting.cancel("the router was shut down during the connect");
    await failed;
  });

  it("survives what the tool says on its terminal afterwards", async () => {
    const tool = fake([{ say: "Password: " }, { expect: SECRET }, { run: true }], { onTerminal: true });
    const connected = await attempt("doas", { doasPath: tool.path, password: SECRET }).run(CONFIG);
    const heard = once(connected.tool.promptOut, "data");
    writeFileSync(terminalBelow(connected.tool.pid as number), "Your ticket expires soon\n");
    assert.match(String(await heard), /ticket/);
    assert.equal(connected.tool.exit, undefined);
    await endOf(connected);
    assert.notEqual(connected.tool.exit, undefined);
  });
});
