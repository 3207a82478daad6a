import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Router } from "../../src/index.ts";
import * as calls from "../fixtures/remote/calls.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** Everything else that happens during one round trip must take less than one takes, on a busy machine too. */
const DELAY_MS = 2000;
const ROUND_TRIP_MS = 2 * DELAY_MS;

it("over a slow link a connect takes one round trip, and the first call with its modules one more", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-delay-"));
  try {
    // A stand-in for ssh that runs the remote command here, with every byte delayed in both directions.
    const proxy = join(repoRoot, "tests/support/delay-proxy.mjs");
    const slowSsh = join(folder, "ssh");
    writeFileSync(
      slowSsh,
      `#!/bin/sh\nfor last do :; done\nexec "${process.execPath}" "${proxy}" --delay-ms ${DELAY_MS} -- sh -c "$last"\n`,
    );
    chmodSync(slowSsh, 0o755);
    await using router = new Router();
    const started = Date.now();
    const context = await router.ssh({ hostname: "slow", sshPath: slowSsh, nodePath: process.execPath });
    const connected = Date.now();
    assert.equal(await context.call(withMitogen.plus, 1, 2), 3);
    const answered = Date.now();
    const trips = (ms: number): number => Math.floor(ms / ROUND_TRIP_MS);
    assert.equal(trips(connected - started), 1, `connect: ${connected - started} ms`);
    assert.equal(trips(answered - connected), 1, `first call: ${answered - connected} ms`);
    // Four calls on a new chain, with a module that is new there (CHN-06).
    await using chain = context.chain();
    for (const name of ["a", "b", "c"]) chain.callNoReply(calls.step, name);
    assert.equal((await chain.call(calls.step, "d")).length, 8);
    const chained = Date.now();
    assert.equal(trips(chained - answered), 1, `four chained calls: ${chained - answered} ms`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
