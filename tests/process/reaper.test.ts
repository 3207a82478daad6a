/** How the reaper itself ends. What it ends is tested in e2e/left-behind.test.ts. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { reaper } from "../../src/process/reaper.ts";
import { checkLeaks } from "../support/leak-check.ts";

// The reaper keeps no program alive, so this timer does. It ends before the leak check, which looks at timers too.
let hold: NodeJS.Timeout;
before(() => {
  hold = setInterval(() => undefined, 60_000);
});
after(() => clearInterval(hold));

checkLeaks();

/** The reapers of this process, by their pids. */
function running(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const parentPid = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[1];
        const command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
        return Number(parentPid) === process.pid && command.includes("mitogen-reaper");
      } catch {
        return false; // it has ended meanwhile
      }
    });
}

test("reaper.settle ends a reaper that a signal has stopped", {
  skip: process.platform !== "linux",
}, async () => {
  reaper.add("-4194304")();
  const [pid] = running();
  process.kill(pid as number, "SIGSTOP");
  await reaper.settle();
  assert.deepEqual(running(), []);
});

test("reaper.settle keeps a reaper that is still needed", {
  skip: process.platform !== "linux",
}, async () => {
  // No process group has the largest number.
  const forget = reaper.add("-4194304");
  await reaper.settle();
  assert.equal(running().length, 1);
  forget();
  await reaper.settle();
  assert.deepEqual(running(), []);
});
