import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MIB = 1024 * 1024;
/** Longer than the longest grace of a context that has lost its parent. */
const END_MS = 20_000;
/** In the order of their pids. */
const PROCESSES = ["the program", "the first hop", "the second hop", "the target"];

for (const major of [12, 26]) {
  describe(`a transfer through two hops to Node ${major}`, { skip: skipReason() }, () => {
    for (const way of ["putFile", "getFile"]) {
      for (const [victim, name] of PROCESSES.entries()) {
        it(`${way}: kill -9 of ${name} leaves the old file in place, and the next transfer resumes`, async (t) => {
          const folder = temporaryFolder(t);
          const [from, to] = [join(folder, "source"), join(folder, "copy")];
          const bytes = randomBytes(8 * MIB);
          fs.writeFileSync(from, bytes);
          fs.writeFileSync(to, "as it was");
          const transfer = (whom: string) =>
            runProgram("e2e/transfer.mjs", { args: [way, whom, from, to, nodes[major] as string] });

          const killed = transfer(String(victim));
          const pids = (await killed.line()).split(" ").map(Number);
          const { stdout, signal } = await killed.ended;
          if (victim === 0) assert.equal(signal, "SIGKILL");
          else assert.equal(stdout.split("\n")[1], '"ChannelError"');
          assert.equal(fs.readFileSync(to, "utf8"), "as it was");
          // The orphans take a while to notice and end. Until then the partial file belongs to them.
          assert.deepEqual(await processesGone(pids, END_MS), []);
          assert.equal(fs.readFileSync(to, "utf8"), "as it was");
          assert.deepEqual(fs.readdirSync(folder).length, 3, "the partial file is kept");

          const again = transfer("nobody");
          await again.line();
          const done = JSON.parse(await again.line());
          await again.ended;
          assert.equal(done.sha256, createHash("sha256").update(bytes).digest("hex"));
          assert.ok(done.resumedAt > MIB && done.resumedAt < bytes.length, `resumed at ${done.resumedAt}`);
          assert.ok(fs.readFileSync(to).equals(bytes));
          assert.deepEqual(fs.readdirSync(folder).sort(), ["copy", "source"]);
        });
      }
    }
  });
}
