import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { type Ended, endOf } from "../support/end-of.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FILE = new URL("../../src/process/busy-limit.js", import.meta.url).href;
const LATE = "it lets nothing else run\n";

/** Runs a program that lets `work`, the body of an async function, block its thread for `limitMs`. */
async function run(work: string, limitMs = 2000): Promise<Ended> {
  const program = `
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { withBusyLimit } from ${JSON.stringify(FILE)};
const work = async () => { await pause(1); ${work} };
console.log(await withBusyLimit(work, ${limitMs}, "it lets nothing else run", 7, 100).catch(String));`;
  const argv = ["--input-type=module", "--eval", program];
  return await endOf(spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] })).ended;
}

test("withBusyLimit ends a program in an endless loop, and says why", async () => {
  const ended = await run("try { for (;;); } finally { for (;;); }", 500);
  assert.deepEqual(ended, { code: 7, signal: null, stdout: "", stderr: LATE });
});

test("withBusyLimit also says why if a timer called the code, so that Node ends by itself", async () => {
  const { code, signal, stderr } = await run(
    "await new Promise(() => setTimeout(() => { for (;;); }, 1))",
    500,
  );
  assert.notDeepEqual([code, signal], [0, null]);
  assert.equal(stderr.slice(0, LATE.length), LATE);
});

test("withBusyLimit lets work take longer if it lets other code run", async () => {
  assert.deepEqual(await run("await pause(3000); return 'done'"), {
    code: 0,
    signal: null,
    stdout: "done\n",
    stderr: "",
  });
});

test("withBusyLimit passes errors on", async () => {
  assert.equal((await run("throw new Error('broken')")).stdout, "Error: broken\n");
});

test("withBusyLimit kills a program that is blocked in a system call, and says why", async (t) => {
  const pipe = join(temporaryFolder(t), "pipe");
  execFileSync("mkfifo", [pipe]);
  const ended = await run(`readFileSync(${JSON.stringify(pipe)})`);
  assert.deepEqual(ended, { code: null, signal: "SIGKILL", stdout: "", stderr: LATE });
});
