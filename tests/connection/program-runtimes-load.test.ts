import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { machineRoom, nodelessSkip, runtimes } from "../support/provisioning.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const skip = nodelessSkip();
const { machine, parent } = machineRoom();
const program = join(repoRoot, "tests/fixtures/programs/e2e/runtimes-not-loaded-at-first.mjs");

describe("the code for runtimes that could not be loaded", { skip }, () => {
  for (const way of ["directly", "hop"]) {
    it(`is loaded for the next target: ${way}`, async () => {
      const fifo = join(parent, `gate ${way}`);
      execFileSync("mkfifo", [fifo]);
      const args = [JSON.stringify(machine().command()), JSON.stringify(runtimes), fifo, way];
      const { stdout } = await promisify(execFile)(
        "sh",
        ["-c", 'ulimit -n 256; exec "$0" "$@"', process.execPath, program, ...args],
        { cwd: repoRoot, env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
      );
      const [first, second] = stdout.trim().split("\n");
      assert.match(first ?? "", /^ERR_\w+: .*EMFILE.*descriptors: 256 \(ulimit -n\)/);
      assert.equal(second, "/");
    });
  }
});
