import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connectKeeper, startKeeper } from "../../../src/cli/up/start-keeper.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** The socket of a process that hangs, and a signal that aborts once somebody has connected to it. */
async function hung(t: TestContext): Promise<{ path: string; signal: AbortSignal }> {
  const path = join(temporaryFolder(t), "up.sock");
  const end = new AbortController();
  const server = createServer(() => end.abort(new Error("Ctrl-C")));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  return { path, signal: end.signal };
}

// Without the signal they would end too, but at the time limit of the answer, with another error.
test("connectKeeper gives up a process that hangs when the signal aborts", async (t) => {
  const { path, signal } = await hung(t);
  await assert.rejects(connectKeeper(path, signal), { message: "Ctrl-C" });
});

test("startKeeper gives up a process that hangs when the signal aborts", async (t) => {
  const { path, signal } = await hung(t);
  await assert.rejects(startKeeper(path, 1000, signal), { message: "Ctrl-C" });
});

test("startKeeper starts nothing for a signal that has aborted", async (t) => {
  const path = join(temporaryFolder(t), "up.sock");
  await assert.rejects(startKeeper(path, 1000, AbortSignal.abort(new Error("Ctrl-C"))), {
    message: "Ctrl-C",
  });
});
