import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  CommandError,
  type Context,
  type MitogenError,
  Router,
  type RunOptions,
  run,
  Secret,
} from "../../src/index.ts";
import * as commands from "../fixtures/remote/commands.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { labMethods } from "../support/lab-methods.ts";
import { checkLeaks, commandOf, processesGone } from "../support/leak-check.ts";
import { noPeakMemory, PeakMemory } from "../support/peak-memory.ts";
import { sshTo } from "../support/ssh-options.ts";

// Processes that a thread killed as it exited are zombies without a command: Node does not reap them.
checkLeaks({ ignoreCommand: /esbuild|^$/ });

const MIB = 1024 * 1024;
/** Prints the process ids of itself and of a process that it has started, then waits. */
const TREE = "sleep 1000 & echo $$ $!; wait";

async function failureOf(promise: Promise<unknown>): Promise<CommandError> {
  try {
    await promise;
  } catch (error) {
    return error as CommandError;
  }
  throw new Error("It did not fail");
}

/** Starts a command that stays. Returns its process ids and its failure. */
async function startTree(
  context: Context,
  options: RunOptions = {},
): Promise<{ pids: number[]; failure: Promise<MitogenError> }> {
  let tell: (pids: number[]) => void = () => undefined;
  const told = new Promise<number[]>((resolve) => {
    tell = resolve;
  });
  const onStdout = (text: string): void => tell(text.trim().split(" ").map(Number));
  const failure = failureOf(run(context, TREE, { shell: true, ...options, encoding: "utf8", onStdout }));
  const pids = await Promise.race([told, failure.then((error) => Promise.reject(error))]);
  return { pids, failure };
}

const places: [string, (router: Router) => Promise<Context>][] = [
  ["Node 12", (router) => router.local({ nodePath: nodes[12] ?? "" })],
  ["Node 16", (router) => router.local({ nodePath: nodes[16] ?? "" })],
  ["Node 26", (router) => router.local({ nodePath: nodes[26] ?? "" })],
  ["an ssh login", (router) => router.ssh(sshTo("mitogen-dash"))],
  ["a container", (router) => (labMethods["docker"] as (router: Router) => Promise<Context>)(router)],
  [
    "a context behind another",
    async (router) => router.local({ nodePath: nodes[12] ?? "", via: await router.local() }),
  ],
];

for (const [place, connect] of places) {
  describe(`run() on ${place}`, { skip: skipReason(), concurrency: false }, () => {
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      context = await connect(router);
    });
    after(() => router.shutdown());

    it("returns a command's exit code, output and duration, and passes its arguments through no shell", async () => {
      const result = await run(context, ["printf", "%s\\n", "$HOME", "a b", "`id`", ""]);
      assert.equal(result.stdout, "$HOME\na b\n`id`\n");
      assert.equal(result.stderr, "");
      assert.deepEqual([result.exitCode, result.signal], [0, null]);
      assert.ok(result.durationMs >= 0 && result.durationMs < 60_000);
      assert.deepEqual((await run(context, "echo a  b")).stdout, "a b");
    });

    it("passes a script to the requested shell, with the arguments apart", async () => {
      const script = 'echo "$1" | tr a-z A-Z; echo "$#" >&2';
      const { stdout, stderr } = await run(context, [script, "$(echo x); 'y'"], { shell: true });
      assert.deepEqual([stdout, stderr], ["$(ECHO X); 'Y'", "1"]);
    });

    it("takes cwd, env and input", async () => {
      const env = { A: "1", B: new Secret("hush"), PATH: process.env["PATH"], HOME: undefined };
      const script = 'pwd; echo "$A $B $HOME."; cat';
      const { stdout } = await run(context, script, { shell: true, cwd: "/usr", env, input: "é\n\n" });
      assert.equal(stdout, "/usr\n1 hush .\né\n");
      assert.equal((await run(context, "cat")).stdout, "", "without input, stdin is empty");
      const streamed = async function* () {
        yield "a";
        yield Buffer.from("b");
      };
      assert.equal((await run(context, "cat", { input: streamed() })).stdout, "ab");
    });

    it("passes bytes unchanged in both directions", async () => {
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
      const { stdout } = await run(context, ["cat"], { input: bytes, encoding: "buffer" });
      assert.ok(bytes.equals(stdout));
    });

    it("rejects with a CommandError that has the exit code and the end of stderr", async () => {
      const script = "echo out; echo one >&2; echo two >&2; exit 3";
      const error = await failureOf(run(context, script, { shell: true }));
      assert.ok(error instanceof CommandError);
      assert.equal(error.name, "CommandError");
      assert.equal(error.code, "ERR_COMMAND");
      assert.equal(error.summary, `Cannot run ${script} in ${context.name}: it ended with exit code 3`);
      assert.equal(error.message, `${error.summary}:\none\ntwo`);
      assert.deepEqual([error.exitCode, error.signal, error.stdout], [3, null, "out"]);
      assert.match(error.stack as string, /commands.run\.test/, "the caller's line");
      const unchecked = await run(context, script, { shell: true, check: false });
      assert.deepEqual([unchecked.exitCode, unchecked.stderr], [3, "one\ntwo"]);
    });

    it("rejects if a signal ended the command, and names the signal", async () => {
      const error = await failureOf(run(context, "kill -9 $$", { shell: true }));
      assert.deepEqual([error.exitCode, error.signal], [null, "SIGKILL"]);
      assert.match(error.message, /: SIGKILL ended it$/);
      assert.equal((await run(context, "kill -9 $$", { shell: true, check: false })).signal, "SIGKILL");
    });

    it("says why a command could not be started", async () => {
      const cases: [string[], RunOptions, RegExp, string][] = [
        [["no-such-tool"], {}, /: there is no program "no-such-tool" in PATH \(.*\); install it/, "ENOENT"],
        [["/no/such"], {}, /: there is no "\/no\/such"$/, "ENOENT"],
        [["true"], { cwd: "/no/folder" }, /: the folder "\/no\/folder" does not exist/, "ENOENT"],
        [["true"], { cwd: "/etc/passwd" }, /: the folder "\/etc\/passwd" is not a folder/, "ENOTDIR"],
        [["/etc/passwd"], {}, /: "\/etc\/passwd" is not executable; make it so \(chmod \+x\)/, "EACCES"],
        [["passwd"], { env: { PATH: "/no:/etc" } }, /: "passwd" is not executable/, "EACCES"],
        [["/etc"], {}, /: "\/etc" is a folder; pass the program in it/, "EACCES"],
        [["./."], { cwd: "/etc" }, /: "\.\/\." is a folder/, "EACCES"],
        [["/etc/passwd/x"], {}, /: there is no "\/etc\/passwd\/x": a part of the path is a file/, "ENOTDIR"],
        [["x".repeat(5000)], {}, /: the name of the program is too long/, "ENAMETOOLONG"],
        [["echo", "x".repeat(3_000_000)], {}, /: its arguments and environment are too long/, "E2BIG"],
      ];
      for (const [argv, options, expected, code] of cases) {
        const error = await failureOf(run(context, argv, { ...options, check: false } as never));
        assert.match(error.message, expected);
        assert.ok(error instanceof CommandError);
        assert.ok([code, "ENOENT"].includes((error.cause as { code: string }).code));
      }
    });

    it("ends the process tree after timeoutMs, and puts the output into the error", async () => {
      const { pids, failure } = await startTree(context, { timeoutMs: 1500 });
      const error = await failure;
      assert.deepEqual([error.name, error.code], ["TimeoutError", "ERR_TIMEOUT"]);
      assert.match(error.message, /^Cannot run sleep 1000 .*: it did not end within 1500 ms: \d+ \d+$/);
      assert.match(error.stack as string, /commands.run\.test/);
      if (place !== "a container") assert.deepEqual(await processesGone(pids, 10_000), []);
    });

    it("ends the process tree when the signal aborts", async () => {
      const abort = new AbortController();
      const { pids, failure } = await startTree(context, { signal: abort.signal });
      const reason = new Error("enough");
      abort.abort(reason);
      assert.equal(await failure, reason);
      if (place !== "a container") assert.deepEqual(await processesGone(pids, 10_000), []);
    });

    it("yields lines as they come, and ends the command when the loop is left", async () => {
      const found: string[] = [];
      const script = `printf 'one\\r\\ntwo\\n\\nthree'; echo "$$" >&2`;
      for await (const line of run.lines(context, script, { shell: true })) found.push(line);
      assert.deepEqual(found, ["one", "two", "", "three"]);
      for await (const line of run.lines(context, TREE, { shell: true })) {
        const pids = line.split(" ").map(Number);
        found.splice(0, found.length, ...pids.map(String));
        break;
      }
      if (place !== "a container") assert.deepEqual(await processesGone(found.map(Number), 10_000), []);
      const error = await failureOf(
        (async () => {
          for await (const line of run.lines(context, "echo a; echo b >&2; exit 2", { shell: true })) {
            assert.equal(line, "a");
          }
        })(),
      );
      assert.match(error.message, /exit code 2: b$/);
    });

    it("does not wait for a background process that holds the output open", async () => {
      const { stdout } = await run(context, "sleep 1000 & echo $!", { shell: true });
      assert.ok(Number(stdout) > 1, stdout);
      await run(context, ["kill", stdout]);
    });
  });
}

describe("run()", { skip: skipReason(), concurrency: false }, () => {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local();
  });
  after(() => router.shutdown());

  it("passes text to the callbacks as it comes, in whole characters, and waits for the promises they return", async () => {
    const seen: string[] = [];
    const script = "printf '\\303'; sleep 0.2; printf '\\251 one'; printf two >&2; printf '\\303'";
    const { stdout } = await run(context, script, {
      shell: true,
      onStdout: async (text) => {
        await pause(20);
        seen.push(text);
      },
      onStderr: (text) => void seen.push(text),
    });
    assert.equal(seen.filter((text) => text !== "two").join(""), "é one\ufffd");
    assert.ok(seen.includes("two"));
    assert.equal(stdout, "é one\ufffd");
  });

  it("ends the command, and rejects, when a callback throws", async () => {
    let pids: number[] = [];
    const onStdout = (text: string): void => {
      pids = text.trim().split(" ").map(Number);
      throw new RangeError("mine");
    };
    await assert.rejects(run(context, TREE, { shell: true, onStdout }), RangeError);
    assert.deepEqual(await processesGone(pids, 10_000), []);
  });

  it("rejects after timeoutMs even if a callback never ends", async () => {
    const onStdout = () => new Promise(() => undefined);
    const error = await failureOf(
      run(context, "echo a; sleep 1000", { shell: true, onStdout, timeoutMs: 500 }),
    );
    assert.equal(error.code, "ERR_TIMEOUT");
  });

  it("ends a command that prints more than maxOutputBytes", { skip: noPeakMemory }, async () => {
    const memory = new PeakMemory([process.pid]);
    const error = await failureOf(
      run(context, ["cat", "/dev/zero"], { maxOutputBytes: MIB, encoding: "buffer" }),
    );
    assert.ok(error instanceof CommandError);
    assert.match(error.message, /: it printed more than 1048576 bytes to stdout and was ended; raise maxOut/);
    assert.equal(error.stdout.length, MIB);
    const usual = await failureOf(run(context, "yes"));
    assert.match(usual.message, /printed more than 16777216 bytes/);
    assert.ok((memory.growth()[0] as number) < 150, `${memory.growth()} MiB`);
  });

  it("keeps only the end of output that a callback takes", { skip: noPeakMemory }, async () => {
    const memory = new PeakMemory([process.pid, await ownPid(context)]);
    let bytes = 0;
    const result = await run(context, ["head", "-c", String(300 * MIB), "/dev/zero"], {
      encoding: "buffer",
      maxOutputBytes: 1000,
      onStdout: (chunk) => {
        bytes += chunk.length;
      },
    });
    assert.equal(bytes, 300 * MIB);
    assert.equal(result.stdout.length, 1000);
    assert.ok(
      memory.growth().every((mib) => mib < 150),
      `${memory.growth()} MiB`,
    );
  });

  it("holds back a command whose lines nobody reads", async () => {
    const folder = mkdtempSync(join(tmpdir(), "run-"));
    const file = join(folder, "written");
    try {
      const script = `for i in 1 2 3 4 5 6 7 8 9 10; do yes ${"x".repeat(99)} | head -c 1000000; echo $i >${file}; done`;
      const lines = run.lines(context, script, { shell: true });
      await lines.next();
      // Ten times as long as it takes to print all of it.
      await pause(1500);
      const steps = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
      assert.ok(steps < 5, `${steps} MB were printed`);
      let count = 1;
      for await (const _ of lines) count += 1;
      assert.equal(count, 100_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("ends the process tree with its context, however the context ends", async () => {
    for (const end of ["shutdown", "SIGKILL"] as const) {
      const own = await router.local();
      const { pids, failure } = await startTree(own);
      if (end === "shutdown") await own.shutdown();
      else process.kill(await ownPid(own), "SIGKILL");
      assert.equal((await failure).code, "ERR_CHANNEL");
      assert.deepEqual(await processesGone(pids, 10_000), [], end);
    }
  });

  describe("a background process that goes on printing", () => {
    /** Starts the process. Returns its id, and the result or error of `run`. */
    async function startNoisy(
      where: Context,
      script: string,
      options: RunOptions = {},
    ): Promise<{ pid: number; settled: Promise<unknown> }> {
      let tell: (pid: number) => void = () => undefined;
      const told = new Promise<number>((resolve) => {
        tell = resolve;
      });
      // The process may print before its id.
      let said = "";
      const onStdout = (text: string): void => {
        said += text;
        const id = /^(\d+)\n/m.exec(said)?.[1];
        if (id !== undefined) tell(Number(id));
      };
      const running = run(where, script, { shell: true, ...options, encoding: "utf8", onStdout });
      const settled = running.catch((error) => error);
      return {
        pid: await Promise.race([told, running.then(() => assert.fail("no id was printed"))]),
        settled,
      };
    }
    // The delay lets the shell print the process id first.
    const fast = "(sleep 0.3; exec yes) & echo $!";

    it("ends after timeoutMs, and when the signal aborts", async () => {
      const late = await startNoisy(context, fast, { timeoutMs: 1200 });
      assert.equal(((await late.settled) as MitogenError).code, "ERR_TIMEOUT");
      assert.deepEqual(await processesGone([late.pid], 10_000), []);
      const abort = new AbortController();
      const aborted = await startNoisy(context, fast, { signal: abort.signal });
      abort.abort(new Error("enough"));
      assert.equal(((await aborted.settled) as Error).message, "enough");
      assert.deepEqual(await processesGone([aborted.pid], 10_000), []);
    });

    it("ends with the context", async () => {
      const own = await router.local();
      const { pid, settled } = await startNoisy(own, fast);
      await own.shutdown();
      assert.equal(((await settled) as MitogenError).code, "ERR_CHANNEL");
      assert.deepEqual(await processesGone([pid], 10_000), []);
    });

    it("does not keep run() waiting, however fast it prints, and ends with its next write", async () => {
      const slow = 'while echo tick; do sleep 0.1; done & echo "$!"';
      for (const script of [fast, slow]) {
        const own = "head -c 300000 /dev/zero | tr '\\0' x; echo; ";
        const { pid, settled } = await startNoisy(context, `${script}; ${own}`);
        const { exitCode, stdout } = (await settled) as { exitCode: number; stdout: string };
        assert.equal(exitCode, 0);
        assert.ok(stdout.length > 0);
        assert.deepEqual(await processesGone([pid], 10_000), [], "the next write ends it");
      }
    });

    it("costs a slow reader no output", async () => {
      const bytes = 3_000_000;
      let taken = 0;
      const { exitCode } = await run(context, `head -c ${bytes} /dev/zero; sleep 0.5 &`, {
        shell: true,
        encoding: "buffer",
        onStdout: async (chunk) => {
          taken += chunk.length;
          if (taken < bytes / 2) await pause(200);
        },
      });
      assert.deepEqual([exitCode, taken], [0, bytes]);
    });
  });

  it("ends the process tree with its thread", async () => {
    const thread = await router.thread();
    const { pids, failure } = await startTree(thread);
    await thread.shutdown();
    assert.equal((await failure).code, "ERR_CHANNEL");
    // The signals have been sent, but the kernel takes its time. Node does not reap what a thread has started, so
    // the first process is a zombie.
    assert.deepEqual(await processesGone(pids.slice(1), 10_000), []);
    assert.equal(commandOf(pids[0] as number), "");
  });

  it("does not fail if a command leaves input unread, but fails if the input fails", async () => {
    const endless = function* () {
      for (;;) yield Buffer.alloc(65536);
    };
    assert.equal(
      (await run(context, ["head", "-c", "5"], { input: endless(), encoding: "buffer" })).stdout.length,
      5,
    );
    assert.equal((await run(context, "true", { input: endless() })).exitCode, 0);
    const broken = async function* () {
      yield "a";
      throw new RangeError("mine");
    };
    await assert.rejects(run(context, "cat", { input: broken() }), RangeError);
    await assert.rejects(run(context, "cat", { input: [7] as never }), /source yields Uint8Array or string/);
  });

  it("starts nothing if its signal has already aborted or an option is invalid", async () => {
    const reason = new Error("before");
    assert.equal(await failureOf(run(context, "true", { signal: AbortSignal.abort(reason) })), reason);
    const cases: [object, RegExp][] = [
      [{ timeout: 5 }, /has no option "timeout"; it has .*timeoutMs/],
      [{ env: { A: 7 } }, /env\.A must be an object of strings/],
      [{ env: { A: new Secret("hu\0sh") } }, /^(?!.*hu)/],
      [{ input: 7 }, /input must be a string, a Secret, bytes, a stream/],
      [{ maxOutputBytes: -1 }, /maxOutputBytes must be an integer from 0/],
      [{ user: "-x" }, /user must be a name/],
      [{ shell: "" }, /shell must be true, false or the path/],
    ];
    for (const [options, expected] of cases) {
      const error = await failureOf(run(context, "true", options as never));
      assert.match(error.message, expected);
    }
    await assert.rejects(run({} as never, "true"), /the context must be a Context/);
    assert.throws(() => run.lines(context, "a | b"), /has a meaning only for a shell/);
  });

  it("works in contexts, for themselves and for contexts below", async () => {
    const [here, failure, lines] = await context.call(commands.runHereAndBelow);
    assert.deepEqual([here, failure, lines], ["here", ["CommandError", "ERR_COMMAND", 1], ["a", "b"]]);
    const error = await failureOf(context.call(commands.failToRun));
    assert.deepEqual([error.name, error.code, error.exitCode], ["CallError", "ERR_COMMAND", 4]);
    assert.match(error.message, /^CommandError: Cannot run .* exit code 4: why$/);
  });

  it("refuses to run a command in the program itself", async () => {
    await assert.rejects(run(router.myself(), "true"), {
      code: "ERR_MITOGEN",
      message: /^Cannot run true: run\(\) runs commands in contexts, not in the program itself; use/,
    });
  });

  it("keeps secrets out of its errors, and makes control characters harmless", async () => {
    const options = { shell: true, env: { TOKEN: new Secret("hunter22") }, input: "hunter22" };
    const error = await failureOf(run(context, "printf '\\033]0;title\\007\\n' >&2; exit 1", options));
    assert.match(error.message, /exit code 1: \\u001b\]0;title\\u0007$/);
    assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /hunter22/);
  });
});

async function ownPid(context: Context): Promise<number> {
  return Number((await run(context, "echo $PPID", { shell: true })).stdout);
}

describe("run() as another user", { skip: skipReason(), concurrency: false }, () => {
  let router: Router;
  before(() => {
    router = new Router();
  });
  after(() => router.shutdown());

  it("runs commands as the user, all of them in one context, and can end them", async () => {
    const context = await router.local({ nodePath: nodes[20] ?? "" });
    const user = "mitogen-target";
    const both = await Promise.all([run(context, "id -un", { user }), run(context, "id -un", { user })]);
    assert.deepEqual(
      both.map(({ stdout }) => stdout),
      [user, user],
    );
    const parents = await Promise.all([1, 2].map(() => run(context, "echo $PPID", { user, shell: true })));
    assert.equal(parents[0]?.stdout, parents[1]?.stdout);
    const { pids, failure } = await startTree(context, { user, timeoutMs: 3000 });
    assert.equal((await failure).code, "ERR_TIMEOUT");
    assert.deepEqual(await processesGone(pids, 10_000), []);
    const killed = await startTree(context, { user });
    process.kill(Number(parents[0]?.stdout), "SIGKILL");
    assert.equal((await killed.failure).code, "ERR_CHANNEL");
    assert.deepEqual(await processesGone(killed.pids, 10_000), []);
    assert.equal((await run(context, "id -un", { user })).stdout, user, "a new context takes its place");
    assert.equal((await run(context, "id -un", { user: "root" })).stdout, "root");
  });

  it("says what to do if a password is needed", async () => {
    const login = await router.ssh(sshTo("mitogen-sudo-pw"));
    const error = await failureOf(run(login, "id -un", { user: "mitogen-target" }));
    assert.ok(error instanceof CommandError);
    assert.match(
      error.message,
      /: cannot become mitogen-target: .*password is required.*router\.sudo\(\{ via/,
    );
    assert.equal((error.cause as { code: string }).code, "ERR_PASSWORD");
  });
});
