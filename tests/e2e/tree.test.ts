import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CallError, ChannelError, type Context, Receiver, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { isFull, isQuick, takesLong } from "../support/extent.ts";
import { nodes, skipReason } from "../support/lab.ts";
import { checkLeaks, processesGone } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** A chain of local contexts below `via`, the nearest first. */
async function chain(router: Router, depth: number, via?: Context): Promise<Context[]> {
  const contexts: Context[] = [];
  for (let level = 1; level <= depth; level++) {
    via = await router.local({ via, name: `level${level}` });
    contexts.push(via);
  }
  return contexts;
}

const failureOf = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => assert.fail("it did not reject"),
    (error) => error as Error,
  );

const DEPTH = isQuick ? 3 : 5;
describe(`kill -9 of a hop in a tree of ${DEPTH} levels`, () => {
  for (const victim of Array.from({ length: DEPTH }).keys()) {
    const skip = victim !== 1 && takesLong;
    it(`at level ${victim + 1} fails only the waits for it and behind it, with errors that name the hop`, {
      skip,
    }, async () => {
      await using router = new Router();
      const levels = await chain(router, DEPTH);
      const [beside] = await chain(router, 1);
      const pids = await Promise.all(levels.map((context) => context.call(remote.pid)));
      const waiting = levels.map((context) => context.call(remote.echoLater, 1, 60_000));
      for (const call of waiting) call.catch(() => undefined);
      const receivers = levels.map((context) => new Receiver(router, { respondent: context }));
      const gets = receivers.map((receiver) => receiver.get());
      for (const get of gets) get.catch(() => undefined);
      const started = Date.now();
      process.kill(pids[victim] as number, "SIGKILL");
      for (let level = victim; level < DEPTH; level++) {
        const error = await failureOf(waiting[level] as Promise<unknown>);
        assert.ok(error instanceof ChannelError, String(error));
        assert.match(error.message, new RegExp(`level${victim + 1}\\b`));
        assert.ok((await failureOf(gets[level] as Promise<unknown>)) instanceof ChannelError);
        await levels[level]?.disconnected;
        await assert.rejects((levels[level] as Context).call(remote.pid), ChannelError);
      }
      // It takes about 100 ms. One second is promised; a busy machine gets more.
      assert.ok(Date.now() - started < 3000, `${Date.now() - started} ms`);
      for (const context of [...levels.slice(0, victim), beside as Context]) {
        assert.equal(await context.call(remote.add, 1, 1), 2);
        assert.equal(context.goneReason, undefined);
      }
      assert.deepEqual(await processesGone(pids.slice(victim), 5000), []);
      for (const receiver of receivers) receiver.close();
    });
  }
});

describe("contexts of one tree", () => {
  let router: Router;
  let left: Context;
  let levels: Context[];
  let many: Context[];
  before(async () => {
    router = new Router();
    [left] = (await chain(router, 1)) as [Context];
    levels = await chain(router, 3);
  });
  after(() => router.shutdown());

  it("exchange messages without the program, as siblings and cousins", async () => {
    for (const other of levels.slice(0, 2)) {
      const opened = await left.call(withMitogen.openReceiver);
      // The program has no part in this: `other` sends straight to a receiver of `left`.
      await other.call(withMitogen.sendNumbers, opened, 20);
      assert.deepEqual(
        await left.call(withMitogen.readNumbers),
        Array.from({ length: 20 }, (_, index) => index),
      );
    }
  });
  it("may not call functions of each other", async () => {
    const error = await failureOf(left.call(withMitogen.callElsewhere, levels[0] as Context));
    assert.ok(error instanceof CallError);
    assert.match(error.message, /refused by policy/);
  });
  it("reach only those above them with unidirectional", async () => {
    await using router = new Router(undefined, { unidirectional: true });
    const [left] = await chain(router, 1);
    const right = await chain(router, 2);
    for (const other of right) {
      const opened = await (left as Context).call(withMitogen.openReceiver);
      await other.call(withMitogen.sendNumbers, opened, 3);
      assert.equal(await (left as Context).call(withMitogen.readNow), 0);
    }
    assert.equal(await (right[1] as Context).call(remote.add, 1, 1), 2);
  });
  it("below an explicitly unidirectional child are restricted too", {
    skip: takesLong,
  }, async () => {
    const hub = await router.local({ unidirectional: true });
    const [left] = await chain(router, 1, hub);
    const [right] = await chain(router, 1, hub);
    const opened = await (left as Context).call(withMitogen.openReceiver);
    await (right as Context).call(withMitogen.sendNumbers, opened, 3);
    assert.equal(await (left as Context).call(withMitogen.readNow), 0);
  });
  it("are named after the way to them, and end with their parent", async () => {
    assert.deepEqual(
      levels.map(({ name }) => name),
      ["level1", "level1.level2", "level1.level2.level3"],
    );
    assert.equal(levels[2]?.via, levels[1]);
    const pids = await Promise.all(levels.map((context) => context.call(remote.pid)));
    await levels[1]?.shutdown();
    assert.deepEqual(await processesGone(pids.slice(1), 3000), []);
    assert.equal(await levels[0]?.call(remote.add, 1, 1), 2);
  });
  it("a connect that fails behind a hop names the hop and the stage, with the tool's words", async () => {
    const hop = left;
    const error = (await failureOf(
      router.local({ via: hop, nodePath: ["sh", "-c", "echo the reason >&2; exit 3"] }),
    )) as Error & { code: string; details: { stage: string; exitCode: number } };
    assert.equal(error.code, "ERR_EOF");
    assert.match(error.message, /^level1: .*code 3[\s\S]*the reason/);
    assert.deepEqual([error.details.stage, error.details.exitCode], ["node", 3]);
    assert.equal(await hop.call(remote.add, 1, 1), 2);
  });
  it("on the same machine run the node of their parent", { skip: skipReason() }, async () => {
    await using router = new Router();
    const major = process.versions.node.startsWith("22.") ? "24" : "22";
    const hop = await router.local({ nodePath: nodes[major] });
    const child = await router.local({ via: hop });
    const { version } = await child.call(remote.describeProcess);
    assert.match(version, new RegExp(`^v${major}\\.`));
  });
  it("many connect through one hop at once", async () => {
    const connects = Array.from({ length: isFull ? 8 : isQuick ? 2 : 4 }, () => router.local({ via: left }));
    many = await Promise.all(connects);
    const sums = await Promise.all(many.map((context, index) => context.call(remote.add, index, 1)));
    assert.deepEqual(
      sums,
      many.map((_, index) => index + 1),
    );
  });
  it("get modules from a hop that already has them", async () => {
    const [first, second] = many as [Context, Context];
    await first.call(withMitogen.plus, 1, 1);
    const before = router.getStats().bytesSent;
    await second.call(withMitogen.plus, 1, 1);
    const sent = router.getStats().bytesSent - before;
    assert.ok(sent < 1000, `${sent} bytes`);
  });
  it("answer a ping although their functions hang", async () => {
    const hung = [left, ...many.slice(0, 1)];
    for (const context of hung) context.callAsync(remote.hang);
    for (const context of hung) assert.ok((await context.ping({ timeoutMs: 5000 })) >= 0);
  });
});
