import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import { sampleOf, takesLong } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";

checkLeaks();

const pidsOf = (line: string): number[] => line.trim().split(" ").map(Number);

describe("a program", () => {
  it("that returns without cleanup and has a hung context ends with status 0 and leaves no process", async () => {
    const started = Date.now();
    const { code, stdout, stderr } = await runProgram("e2e/natural-exit.mjs").ended;
    assert.equal(code, 0, stderr);
    assert.ok(Date.now() - started < 20_000);
    assert.deepEqual(await processesGone(pidsOf(stdout), 2000), []);
  });

  // tests/e2e/left-behind.test.ts also ends a program by each of these signals.
  for (const signal of sampleOf(4, ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"] as const)) {
    it(`ended by ${signal} leaves no process, not even a hung context`, async () => {
      const program = runProgram("e2e/wait-for-signal.mjs");
      const pids = pidsOf(await program.line());
      program.process.kill(signal);
      assert.equal((await program.ended).signal, signal);
      assert.deepEqual(await processesGone(pids, 3000), []);
    });
  }

  it("ended by Ctrl-C prints nothing and leaves no process", async () => {
    const program = runProgram("e2e/wait-for-signal.mjs", { ownGroup: true });
    const pids = pidsOf(await program.line());
    process.kill(-(program.process.pid as number), "SIGINT");
    const { signal, stderr } = await program.ended;
    assert.deepEqual([signal, stderr], ["SIGINT", ""]);
    assert.deepEqual(await processesGone(pids, 3000), []);
  });

  it("that handles Ctrl-C itself keeps its contexts until it ends them, and prints no error", async () => {
    const program = runProgram("e2e/handle-interrupt.mjs", { ownGroup: true });
    const pids = pidsOf(await program.line());
    process.kill(-(program.process.pid as number), "SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.split("\n").slice(1), ["true", "ERR_CHANNEL", "ERR_CHANNEL", ""]);
    assert.equal(stderr, "");
    assert.deepEqual(await processesGone(pids, 3000), []);
  });

  it("whose main throws under runWithRouter fails with that error and leaves no context", async () => {
    const { code, stdout, stderr } = await runProgram("e2e/failing-main.mjs").ended;
    assert.equal(code, 1);
    assert.match(stderr, /Error: main failed/);
    assert.deepEqual(await processesGone(pidsOf(stdout), 2000), []);
  });

  it("stays alive for a pending call and until a stream is left, but not for a receiver or stream that nobody reads", async () => {
    const { code, stdout } = await runProgram("e2e/pending-call.mjs").ended;
    assert.deepEqual([code, stdout.split("\n").sort()], [0, ["", "done", "left"]]);
  });

  it("cannot call a function of its unguarded entry script, and the error names it", async () => {
    const { code, stdout } = await runProgram("e2e/unguarded.mjs").ended;
    assert.equal(code, 0);
    assert.equal(stdout.match(/^started/gm)?.length, 1);
    assert.match(stdout, /refused: .*unguarded\.mjs/);
  });

  it("can call a function of its guarded entry script, and a context does not run the guarded part", async () => {
    const { stdout } = await runProgram("e2e/guarded.mjs").ended;
    assert.deepEqual(stdout.trim().split("\n"), ["evaluated true", "4"]);
  });
});

describe("the first script of the introduction", () => {
  const EXAMPLE = join(repoRoot, "examples/first-script.ts");
  const LOG_LINE = /^\d\d:\d\d:\d\d I mitogen\.ctx\.local\.\d+: stdout: Hello from remote context!$/;
  for (const [file, nodeArgs] of sampleOf(3, [
    ["e2e/first-script.cjs", ["--no-warnings"]],
    ["e2e/first-script.mjs", []],
    [EXAMPLE, ["--import", "tsx"]],
    ...(Number.parseInt(process.versions.node, 10) >= 24 ? ([[EXAMPLE, ["--no-warnings"]]] as const) : []),
  ] as const)) {
    it(`runs as ${basename(file)} ${nodeArgs.join(" ")}`, async () => {
      const { code, stdout, stderr } = await runProgram(file, { nodeArgs: [...nodeArgs] }).ended;
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "123\n");
      assert.match(stderr.trim(), LOG_LINE);
    });
  }

  it("logs nothing when MITOGEN_LOG_LEVEL is ERROR, and frames when it is IO", {
    skip: takesLong,
  }, async () => {
    const quiet = await runProgram("e2e/first-script.mjs", { env: { MITOGEN_LOG_LEVEL: "ERROR" } }).ended;
    assert.equal(quiet.stderr, "");
    const loud = await runProgram("e2e/first-script.mjs", { env: { MITOGEN_LOG_LEVEL: "IO" } }).ended;
    assert.match(loud.stderr, / D mitogen\.io: local\.\d+: sent \d+ bytes 0:\d+ -> 1:101/);
    assert.match(loud.stderr, / D mitogen\./);
    assert.equal(loud.stdout, "123\n");
  });
});
