import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import * as fs from "node:fs";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Router, type StreamError } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import type { NodelessMachine } from "../support/nodeless.ts";
import { kept, machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const { machine } = machineRoom();

describe("programs side by side", { skip }, () => {
  const program = join(repoRoot, "build/tests/fixtures/provision-program.js");
  /** Resolves with what the program has printed, or the signal that ended it. */
  const run = (box: NodelessMachine, killAt: number): Promise<string> =>
    new Promise((resolve) => {
      const args = [program, JSON.stringify(box.command()), JSON.stringify(runtimes), String(killAt)];
      childProcess.execFile(process.execPath, args, (error, stdout) => resolve(error?.signal ?? stdout));
    });

  it("leave one good copy when 20 run at once", async () => {
    const box = machine();
    const said = await Promise.all(Array.from({ length: 20 }, () => run(box, 2)));
    assert.deepEqual(said, Array(20).fill("5\n"));
    const { copies, parts } = kept(join(box.root, "root/.cache/mitogen"));
    assert.deepEqual([copies.length, parts], [1, []]);
  });

  it("leave no copy when killed at any point, and the next program removes partial ones", async () => {
    const box = machine();
    const folder = join(box.root, "root/.cache/mitogen");
    for (let point = 0; point < 10; point++) {
      assert.equal(await run(box, point / 10), "SIGKILL");
      assert.deepEqual(kept(folder).copies, [], `point ${point}`);
    }
    assert.equal(await run(box, 2), "5\n");
    assert.deepEqual(kept(folder).parts, []);
  });
});

describe("an upload that is cut off", { skip }, () => {
  it("leaves no copy wherever it ends, and the next one removes partial ones", async () => {
    const box = machine();
    const folder = join(box.root, "root/.cache/mitogen");
    await using router = new Router(undefined, { provision: "cache", runtimes });
    for (let point = 0; point < 10; point++) {
      const connecting = router.exec({
        command: box.command(),
        onProgress({ sentBytes, totalBytes }) {
          if (sentBytes < (totalBytes * point) / 10) return;
          // Kills the shell and what it has started.
          for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
            try {
              if (fs.readlinkSync(`/proc/${pid}/root`) === box.root) process.kill(Number(pid), "SIGKILL");
            } catch {
              // The process has ended, or is a thread of the kernel.
            }
          }
        },
      });
      await assert.rejects(connecting, (error: StreamError) => {
        assert.equal(error.code, "ERR_PROVISION", error.message);
        return true;
      });
      assert.deepEqual(kept(folder).copies, [], `point ${point}`);
    }
    const context = await router.exec({ command: box.command() });
    assert.equal(await context.call(remote.add, 1, 2), 3);
    const { copies, parts } = kept(folder);
    assert.deepEqual([copies.length, parts], [1, []]);
  });
});
