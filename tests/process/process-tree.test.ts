import assert from "node:assert/strict";
import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { subprocesses } from "../../src/process/process-tree.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks, descendants, processesGone } from "../support/leak-check.ts";

checkLeaks();

const hasProc = fs.existsSync("/proc/self/stat");
const hasLists = fs.existsSync(`/proc/self/task/${process.pid}/children`);
/** The id of no process: larger than the largest that the kernel gives. */
const GONE_PID = 2 ** 22 + 1;

/**
 * Starts a shell script that prints a line and then stays. Returns the pids of the shell and of the processes
 * below it, and kills them after the test.
 */
async function start(t: TestContext, script: string, options: SpawnOptions = {}): Promise<number[]> {
  const shell = spawn("sh", ["-c", script], { ...options, stdio: ["ignore", "pipe", "inherit"] });
  await once(shell.stdout as Readable, "data");
  const pids = [shell.pid as number, ...descendants(shell.pid as number)];
  t.after(async () => {
    for (const pid of pids) kill(pid);
    assert.deepEqual(await processesGone(pids, 5000), []);
  });
  return pids;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended with its parent.
  }
}

const pidsOf = (processes: readonly { pid: number }[]): number[] => processes.map(({ pid }) => pid);
const sorted = (pids: readonly number[]): number[] => [...pids].sort((a, b) => a - b);

/** Passes every text that is read through `change`, and counts how often all of /proc is listed. */
function mockReads(t: TestContext, change: (path: string, text: string) => string): { lists: number } {
  const count = { lists: 0 };
  const { readFileSync, readdirSync } = fs;
  const read = (path: string, ...rest: []): unknown => {
    const text = readFileSync(path, ...rest);
    return typeof text === "string" ? change(path, text) : text;
  };
  const list = (path: string, ...rest: []): unknown => {
    if (path === "/proc") count.lists += 1;
    return readdirSync(path, ...rest);
  };
  Object.assign(fs, { readFileSync: read, readdirSync: list });
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(fs, { readFileSync, readdirSync });
    syncBuiltinESMExports();
  });
  return count;
}

describe("subprocesses", { skip: hasProc ? false : "there is no /proc" }, () => {
  it("returns the processes below this one, except detached ones and zombies", async (t) => {
    const plain = await start(t, "(sleep 300 & echo; wait) & wait");
    await start(t, "sleep 300 & echo; wait", { detached: true });
    // By then another program has replaced the shell. It does not know of the child, and so does not reap it.
    const [holder, zombie] = await start(t, "sleep 0.3 & echo; exec sleep 300");
    while (!/\) Z /.test(fs.readFileSync(`/proc/${zombie}/stat`, "latin1"))) await pause(10);
    assert.deepEqual(sorted(pidsOf(subprocesses())), sorted([...plain, holder as number]));
    assert.equal(plain.length, 3);
  });

  it("reads no more than the kernel's lists of children", { skip: !hasLists }, async (t) => {
    const pids = await start(t, "sleep 300 & echo; wait");
    const count = mockReads(t, (_, text) => text);
    assert.deepEqual(sorted(pidsOf(subprocesses())), sorted(pids));
    assert.equal(count.lists, 0);
  });

  it("reads all processes, once, if the kernel has no such lists", async (t) => {
    const pids = await start(t, "sleep 300 & echo; wait");
    const count = mockReads(t, (path, text) => {
      if (!path.endsWith("/children")) return text;
      throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    });
    assert.deepEqual(sorted(pidsOf(subprocesses())), sorted(pids));
    assert.equal(count.lists, 1);
  });

  it("reads all processes if a listed one has ended, because the list may lack its sibling", {
    skip: !hasLists,
  }, async (t) => {
    const pids = await start(t, "sleep 300 & echo; wait");
    const count = mockReads(t, (path, text) =>
      path.endsWith("/children") && text !== "" ? `${GONE_PID} ` : text,
    );
    assert.deepEqual(sorted(pidsOf(subprocesses())), sorted(pids));
    assert.equal(count.lists, 1);
  });

  it("finds, in a thread, processes that the main thread and a later thread have started", async (t) => {
    const script = `
      const { parentPort, workerData } = require("node:worker_threads");
      const { spawn } = require("node:child_process");
      const looking = import(workerData);
      parentPort.on("message", async (what) => {
        if (what === "look") parentPort.postMessage((await looking).subprocesses().map(({ pid }) => pid));
        if (what === "start") {
          const child = spawn("sleep", ["300"], { stdio: "ignore" });
          child.on("exit", () => parentPort.postMessage("ended"));
          parentPort.postMessage(child.pid);
        }
      });`;
    const workerData = new URL("../../src/process/process-tree.js", import.meta.url).href;
    const ask = async (worker: Worker, what: string): Promise<unknown> => {
      worker.postMessage(what);
      return (await once(worker, "message"))[0];
    };
    const looker = new Worker(script, { eval: true, workerData });
    await once(looker, "online");
    const starter = new Worker(script, { eval: true, workerData });
    t.after(() => Promise.all([looker.terminate(), starter.terminate()]));
    const pids = await start(t, "echo; exec sleep 300");
    const later = (await ask(starter, "start")) as number;
    const found = (await ask(looker, "look")) as number[];
    process.kill(later, "SIGKILL");
    await once(starter, "message");
    assert.deepEqual(sorted(found), sorted([...pids, later]));
  });
});

const NS_LAST_PID = "/proc/sys/kernel/ns_last_pid";

describe("subprocesses in a pid namespace of its own", {
  skip: (process.getuid?.() !== 0 || !fs.existsSync(NS_LAST_PID)) && "Needs root on Linux",
}, () => {
  it("finds the processes of the first thread, in whatever order the threads are listed", async () => {
    const program = join(repoRoot, "tests/fixtures/programs/core/thread-numbers.mjs");
    // The id of the first thread has four digits, those of the others have five. Sorted as text, the others
    // come first.
    const script = `echo 9900 > ${NS_LAST_PID}; "$0" "$1" "$2"; exit $?`;
    const module = new URL("../../src/process/process-tree.js", import.meta.url).href;
    const namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    const words = [...namespace, "sh", "-c", script, process.execPath, program, module];
    const { stdout, stderr, status } = spawnSync("unshare", words, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const { threads, started, found } = JSON.parse(stdout);
    assert.notDeepEqual(threads, sorted(threads));
    assert.deepEqual(found, [started]);
  });
});
