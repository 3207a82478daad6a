import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { describe, it } from "node:test";
import { endTree } from "../../src/process/end-tree.ts";
import { nextProcessList } from "../../src/process/process-list.ts";
import { checkLeaks, descendants, processesGone } from "../support/leak-check.ts";

checkLeaks();

const skip = fs.existsSync("/proc/self/stat") ? false : "there is no /proc";

describe("nextProcessList", { skip }, () => {
  it("returns one list to all callers in a turn of the event loop, and a new one later", async () => {
    const [list, same] = await Promise.all([nextProcessList(), nextProcessList()]);
    assert.equal(list, same);
    const own = list.get(process.pid);
    assert.ok(own !== undefined && list.inGroup(own.group).includes(own));
    assert.notEqual(await nextProcessList(), list);
  });

  it("returns a list that is not older than the call", async () => {
    const asked = nextProcessList();
    const child = spawn("sleep", ["300"], { stdio: "ignore" });
    const pid = child.pid as number;
    const list = await asked;
    assert.equal(list.get(pid)?.parentPid, process.pid);
    assert.ok(list.childrenOf(process.pid).some((info) => info.pid === pid));
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal((await nextProcessList()).get(pid), undefined);
  });
});

describe("endTree", { skip }, () => {
  it("kills what ignores the signal, even if a test of the program has stopped the clock", async (t) => {
    const now = Date.now();
    t.mock.method(Date, "now", () => now);
    const hold = setInterval(() => undefined, 1000);
    t.after(() => clearInterval(hold));
    const shell = spawn("sh", ["-c", "trap '' TERM; echo ready; sleep 300 & wait; sleep 300"], {
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(shell.stdout, "data");
    const exited = once(shell, "exit");
    await endTree(shell.pid as number, "SIGTERM", () => shell.exitCode !== null, true);
    assert.deepEqual(await exited, [null, "SIGKILL"]);
  });

  it("reads all processes once for all trees that end in the same turn", async (t) => {
    const shells = Array.from({ length: 10 }, () =>
      spawn("sh", ["-c", "sleep 300 & echo ready; wait"], {
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    await Promise.all(shells.map((shell) => once(shell.stdout, "data")));
    const pids = shells.flatMap(({ pid }) => [pid as number, ...descendants(pid as number)]);
    assert.equal(pids.length, 20);
    const { readdirSync } = fs;
    let lists = 0;
    const list = (path: string, ...rest: []): unknown => {
      if (path === "/proc") lists += 1;
      return readdirSync(path, ...rest);
    };
    Object.assign(fs, { readdirSync: list });
    syncBuiltinESMExports();
    t.after(() => {
      Object.assign(fs, { readdirSync });
      syncBuiltinESMExports();
    });
    const ends = shells.map((shell) =>
      endTree(
        shell.pid as number,
        "SIGTERM",
        () => shell.exitCode !== null || shell.signalCode !== null,
        true,
      ),
    );
    await nextProcessList();
    assert.equal(lists, 1);
    // The waits of `endTree` do not keep the process alive.
    const hold = setInterval(() => undefined, 1000);
    await Promise.all(ends);
    clearInterval(hold);
    assert.deepEqual(await processesGone(pids, 0), []);
  });
});
