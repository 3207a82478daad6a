import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { bootWords, guardLine } from "../../src/bootstrap/command.ts";
import { payloadBytes } from "../../src/bootstrap/payload.ts";
import {
  CancelledError,
  type ConnectDetails,
  EofError,
  Router,
  StreamError,
  TimeoutError,
} from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { isFull, isQuick } from "../support/extent.ts";
import {
  checkLeaks,
  commandOf,
  descendants,
  fdCount,
  processesGone,
  settledFdCount,
} from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const unexpected = (): never => assert.fail("it connected");

type ConnectError = Error & { code: string; details: ConnectDetails };

/** Connects with a stand-in for node: `sh -c script`. */
async function failure(
  nodePath: string | string[],
  options: { timeoutMs?: number } = {},
): Promise<ConnectError> {
  await using router = new Router();
  try {
    await router.local({ nodePath, ...options });
  } catch (error) {
    return error as ConnectError;
  }
  return unexpected();
}

const sh = (script: string): string[] => ["sh", "-c", script];

describe("a connect fails with EofError at once, and shows all that was printed", () => {
  const cases: [title: string, nodePath: string | string[], said: RegExp][] = [
    ["to `true`", "true", /exited with code 0/],
    ["to `echo`, whose output is kept", "echo", /--experimental-vm-modules/],
    [
      "to a program that exits with 3 after output on stderr",
      sh("echo first; echo second >&2; exit 3"),
      /code 3[\s\S]*first[\s\S]*second/,
    ],
    ["with an unterminated last line", sh("echo one; printf unfinished"), /one[\s\S]*unfinished/],
    [
      "when the reason comes 200 ms after stdout was closed",
      sh("exec >&- 4>&-; sleep 0.2; echo the reason >&2"),
      /the reason/,
    ],
    ["to a path where nothing is", "/nonexistent/node", /\/nonexistent\/node/],
    ["to binary noise", sh("printf '\\377\\376\\000x'; exit 1"), /x/],
    ["to 1 MB without a line end", sh("head -c 1000000 /dev/zero | tr '\\000' z; exit 1"), /zzz/],
    [
      "to a process killed in the middle of the payload",
      sh("head -c 100 <&3 >/dev/null; kill -9 $$"),
      /signal 9/,
    ],
  ];
  for (const [title, nodePath, said] of cases) {
    it(title, async () => {
      const started = Date.now();
      const error = await failure(nodePath);
      assert.ok(Date.now() - started < 5000, "long before the timeout");
      assert.ok(error instanceof EofError, String(error));
      assert.equal(error.code, nodePath === "/nonexistent/node" ? "ERR_NO_NODE" : "ERR_EOF");
      assert.match(error.message, said);
      assert.ok(error.message.length < 300_000);
      assert.equal(error.details.method, "local");
      assert.ok(error.details.argv.includes("-c"));
      assert.ok(error.details.durationMs >= 0);
    });
  }
});

describe("a connect", () => {
  it("that takes too long rejects with TimeoutError, and kills its process even if that ignores SIGTERM", async () => {
    await using router = new Router();
    const connecting = router.local({
      nodePath: sh("trap '' TERM; while :; do sleep 1; done"),
      timeoutMs: 300,
    });
    const pids = descendants(process.pid);
    const error = await connecting.then(unexpected, (reason) => reason as ConnectError);
    assert.ok(error instanceof TimeoutError);
    assert.match(error.message, /timed out after 300 ms/);
    assert.equal(error.details.stage, "node");
    assert.deepEqual(await processesGone(pids, 3000), []);
  });
  it("is cancelled at once by shutdown", async () => {
    const router = new Router();
    const connecting = router.local({ nodePath: sh("sleep 30") });
    const outcome = connecting.then(unexpected, (reason) => reason as Error);
    const started = Date.now();
    await router.shutdown();
    assert.ok((await outcome) instanceof CancelledError);
    assert.ok(Date.now() - started < 3000);
    await assert.rejects(router.local(), CancelledError);
  });
  it("refuses unknown options, slashes in remoteName and bad values before anything starts", async () => {
    await using router = new Router();
    await assert.rejects(router.local({ nodepath: "x" } as never), /local\(\): it has no option "nodepath"/);
    const noNode =
      /thread\(\): it has no option "nodePath"; it has name, signal, unidirectional, via, debug, profiling$/;
    await assert.rejects(router.thread({ nodePath: "x" } as never), { name: "TypeError", message: noNode });
    await assert.rejects(router.local({ remoteName: "a/b" }), RangeError);
    for (const name of ["", "x".repeat(100)]) await assert.rejects(router.local({ name }), RangeError);
    for (const timeoutMs of [-1, Number.NaN]) await assert.rejects(router.local({ timeoutMs }), RangeError);
    await assert.rejects(router.ssh({ hostname: "-oProxyCommand=id" }), TypeError);
    await assert.rejects(router.ssh({ hostname: "h", port: 70000 }), RangeError);
    await assert.rejects(router.ssh({ hostname: "h", checkHostKeys: "yes" as never }), TypeError);
    assert.deepEqual(descendants(process.pid).map(commandOf), []);
  });
  it("with a missing tool names the tool", async () => {
    await using router = new Router();
    const error = await router
      .ssh({ hostname: "h", sshPath: "/nonexistent/ssh" })
      .then(unexpected, (e) => e as ConnectError);
    assert.ok(error instanceof StreamError);
    assert.match(error.message, /\/nonexistent\/ssh/);
    assert.equal(error.details.stage, "spawn");
  });
  it("succeeds in spite of any noise before the greeting", async () => {
    await using router = new Router();
    const noise = [
      "printf 'Welcome!\\r\\nPassword: x\\033[31m red \\033[0m\\n'",
      "printf 'deadbeefdeadbeef:ready 1 20.0.0 linux x64 1\\n'",
      "printf 'unterminated'",
    ].join(">&4;");
    const context = await router.local({
      nodePath: [...sh(`${noise}>&4; exec ${process.execPath} "$@"`), "sh"],
    });
    assert.equal(await context.call(remote.add, 1, 2), 3);
  });
});

describe("stage 1", () => {
  it("boots from a payload that arrives one byte at a time", async () => {
    const payload = payloadBytes();
    const [command, ...args] = bootWords("0123456789abcdef", payload.length, [process.execPath]) as [
      string,
      ...string[],
    ];
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    const greeting = new Promise<string>((resolve) => {
      let text = "";
      child.stdout.on("data", (chunk) => {
        text += chunk;
        if (/:ready .*\n/.test(text)) resolve(text);
      });
    });
    child.stdin.write(guardLine("0123456789abcdef"));
    for (const byte of payload) {
      if (!child.stdin.write(Buffer.of(byte)))
        await new Promise((resolve) => child.stdin.once("drain", resolve));
    }
    assert.match(await greeting, /0123456789abcdef:0\n[\s\S]*\n0123456789abcdef:ready 1 /);
    child.stdin.end();
    await new Promise((resolve) => child.once("exit", resolve));
  });
  it("ends at once and says why when the payload is cut short", async () => {
    const [command, ...args] = bootWords("0123456789abcdef", 1000, [process.execPath]) as [
      string,
      ...string[],
    ];
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.stdin.end(`${guardLine("0123456789abcdef")}too short`);
    const [code] = await new Promise<[number | null]>((resolve) =>
      child.once("close", (exit) => resolve([exit])),
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /payload_cut is not defined/);
  });
});

const CYCLES = isFull ? 50 : isQuick ? 2 : 5;
const AT_ONCE = Math.min(CYCLES, 5);

describe(`${CYCLES} cycles of`, () => {
  const cycles: [title: string, cycle: (router: Router) => Promise<unknown>][] = [
    ["connect and shutdown", async (router) => (await router.local()).shutdown()],
    [
      "connect timeout",
      (router) => router.local({ nodePath: sh("sleep 30"), timeoutMs: 20 }).catch(() => undefined),
    ],
    ["ENOENT", (router) => router.local({ nodePath: "/nonexistent" }).catch(() => undefined)],
    ["EOF", (router) => router.local({ nodePath: "true" }).catch(() => undefined)],
  ];
  for (const [title, cycle] of cycles) {
    it(`${title} leave no descriptor and no process`, { timeout: 240_000 }, async () => {
      const first = new Router();
      await cycle(first);
      await first.shutdown();
      const before = fdCount();
      const router = new Router();
      for (let round = 0; round < CYCLES / AT_ONCE; round++)
        await Promise.all(Array.from({ length: AT_ONCE }, () => cycle(router)));
      await router.shutdown();
      const left = descendants(process.pid);
      assert.deepEqual(await processesGone(left, 3000), []);
      const after = await settledFdCount(before);
      assert.ok(Math.abs(after - before) <= 2, `${before} → ${after}`);
    });
  }
});
