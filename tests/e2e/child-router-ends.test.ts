/** Contexts that start contexts while something on the way ends. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ChannelError, type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as parents from "../fixtures/remote/parents.ts";
import { isFull, isQuick, sampleOf } from "../support/extent.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const TURNS = isFull ? 5 : isQuick ? 1 : 2;

/** A tool that writes its pid to `path` and never greets. */
const silent = (path: string): { command: string[] } => ({
  command: ["sh", "-c", `echo $$ > ${path}.new; mv ${path}.new ${path}; exec sleep 600`],
});

async function pidAt(path: string): Promise<number> {
  while (!existsSync(path)) await pause(10);
  return Number(readFileSync(path, "utf8"));
}

const outcomeOf = (call: Promise<unknown>): Promise<Error> =>
  call.then(
    () => assert.fail("it did not fail"),
    (error) => error as Error,
  );

describe("a connect that a context has under way", () => {
  const ways: [string, (router: Router, hop: Context) => Promise<void>][] = [
    ["the program is shut down", (router) => router.shutdown()],
    ["the context is shut down", (_, hop) => hop.shutdown()],
    ["the context is killed", async (_, hop) => process.kill(await hop.call(remote.pid), "SIGKILL") as never],
  ];
  for (const [what, end] of sampleOf(3, ways)) {
    it(`is given up when ${what}, and its tool ends`, async (t) => {
      const folder = temporaryFolder(t);
      await using router = new Router();
      const hop = await router.local({ name: "hop" });
      const below = await router.local({ name: "below", via: hop });
      const paths = ["own", "asked", "via"].map((name) => join(folder, name)) as [string, string, string];
      const connects = [
        hop.call(parents.startExec, silent(paths[0])),
        router.exec({ ...silent(paths[1]), via: hop }),
        router.exec({ ...silent(paths[2]), via: below }),
      ].map(outcomeOf);
      const pids = await Promise.all(paths.map(pidAt));
      await end(router, hop);
      const errors = await Promise.all(connects);
      for (const error of errors)
        assert.match(error.name, /^(ChannelError|CancelledError|CallError)$/, String(error));
      // A killed context cannot end its tools. They would end with their input, but these do not read it.
      const isKilled = what.endsWith("killed");
      for (const pid of isKilled ? pids.slice(0, 2) : []) process.kill(pid, "SIGKILL");
      assert.deepEqual(await processesGone(pids, 6000), []);
    });
  }
});

describe("a context that ends while another connects via it", () => {
  it("fails the connect, whether the program or a context asked for it", async () => {
    await using router = new Router();
    const hop = await router.local({ name: "hop" });
    for (let turn = 0; turn < TURNS; turn++) {
      const name = `victim${turn}`;
      await hop.call(parents.startLocal, { name });
      assert.match(await hop.call(parents.startViaKilled, name), /^ChannelError: /);
    }
    const victim = await hop.call(parents.startLocal, { name: "last" });
    process.kill(await victim.call(remote.pid), "SIGKILL");
    assert.ok((await outcomeOf(router.local({ via: victim }))) instanceof ChannelError);
    assert.equal(await hop.call(remote.add, 1, 1), 2);
  });
});

describe("router.shutdown() in a context", () => {
  it("ends the contexts that this context started, and no others", async () => {
    await using router = new Router();
    const hop = await router.local({ name: "hop" });
    const other = await router.local({ name: "other", via: hop });
    const [one, two] = [
      await hop.call(parents.startLocal, { name: "one" }),
      await hop.call(parents.startBelow, "two", "one"),
    ];
    const pids = await Promise.all([one, two].map((each) => each.call(remote.pid)));
    assert.deepEqual(await hop.call(parents.endAllHere), [true, true]);
    assert.deepEqual(await processesGone(pids, 0), []);
    await Promise.all([one.disconnected, two.disconnected]);
    assert.equal(await other.call(remote.add, 1, 1), 2);
    // The router works on, because a context cannot have another one.
    const later = await hop.call(parents.startLocal, { name: "later" });
    assert.equal(await later.call(remote.add, 2, 2), 4);
  });
});
