/** Functions that wait for contexts elsewhere in the tree. For the waits of the program itself see tree.test.ts. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Context, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { ask, askMyself } from "../fixtures/remote/hostile.ts";
import * as waiting from "../fixtures/remote/waiting.ts";
import * as withMitogen from "../fixtures/remote/with-mitogen.ts";
import { sampleOf } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** `left1` and `right1` are children of the program, `left2` is one of `left1`, and so on. */
type Name = `${"left" | "right"}${1 | 2 | 3}`;

const cases: [title: string, waiter: Name, target: Name, victim: Name][] = [
  ["a child of a sibling, when the sibling dies", "left1", "right2", "right1"],
  ["a sibling", "left1", "right1", "right1"],
  ["a child of a sibling", "left1", "right2", "right2"],
  ["a sibling of its parent", "left2", "right1", "right1"],
  ["a cousin", "left2", "right2", "right2"],
  ["a cousin, when the cousin's parent dies", "left2", "right2", "right1"],
  ["its own child", "left1", "left2", "left2"],
  ["its grandchild", "left1", "left3", "left3"],
  ["its grandchild, when the context between them dies", "left1", "left3", "left2"],
];

/** Starts the named contexts and those on the way to them. */
async function grow(router: Router, names: readonly Name[]): Promise<Map<Name, Context>> {
  const contexts = new Map<Name, Context>();
  for (const side of ["left", "right"] as const) {
    const depth = Math.max(
      0,
      ...names.filter((name) => name.startsWith(side)).map((name) => Number(name.at(-1))),
    );
    let via: Context | undefined;
    for (const level of ([1, 2, 3] as const).slice(0, depth)) {
      via = await router.local({ via, name: `${side}${level}` });
      contexts.set(`${side}${level}`, via);
    }
  }
  return contexts;
}

/** Has `waiter` wait for `target` in every way. The function it returns tells how these waits ended. */
async function startWaiting(waiter: Context, target: Context): Promise<() => Promise<string[]>> {
  const handle = await target.call(waiting.openSilentHandle);
  const ends = waiter.call(waiting.waitEveryWay, target, handle);
  ends.catch(() => undefined);
  // When this is answered, the request of `waiter` has arrived.
  await waiter.call(waiting.reach, target);
  return () => ends;
}

async function kill(context: Context): Promise<void> {
  await context.call(remote.killYourself).catch(() => undefined);
}

function assertTold(ends: readonly string[], victim: string): void {
  const gone = new RegExp(`^ChannelError: .*\\b${victim}: disconnected`);
  const [request, got, iteration, ...selects] = ends;
  for (const end of [request, got, ...selects]) assert.match(end ?? "", gone);
  assert.equal(selects.length, 2);
  assert.equal(iteration, "iteration ended");
}

describe("a function that waits is told of the end of", () => {
  for (const [title, waiter, target, victim] of sampleOf(6, cases)) {
    it(`${title}`, async () => {
      await using router = new Router();
      const contexts = await grow(router, [waiter, target, victim]);
      const of = (name: Name): Context => contexts.get(name) as Context;
      const ends = await startWaiting(of(waiter), of(target));
      const started = Date.now();
      await kill(of(victim));
      assertTold(await ends(), victim);
      // It takes about 100 ms. One second is promised; a busy machine gets more.
      assert.ok(Date.now() - started < 3000, `${Date.now() - started} ms`);
      assert.equal(await of(waiter).call(remote.add, 1, 1), 2);
    });
  }

  it("a context, also if its own context becomes a parent during the wait", async () => {
    await using router = new Router();
    const contexts = await grow(router, ["left1", "right1"]);
    const [left, right] = [contexts.get("left1"), contexts.get("right1")] as [Context, Context];
    const ends = await startWaiting(left, right);
    await router.local({ via: left });
    await kill(right);
    assertTold(await ends(), "right1");
  });
});

describe("with siblings behind a context", () => {
  let router: Router;
  let left1: Context;
  let left2: Context;
  let beside: Context;
  let right1: Context;
  before(async () => {
    router = new Router();
    const contexts = await grow(router, ["left2", "right1"]);
    const of = (name: Name): Context => contexts.get(name) as Context;
    [left1, left2, right1] = [of("left1"), of("left2"), of("right1")];
    beside = await router.local({ via: left1 });
  });
  after(() => router.shutdown());

  it("a request to an unknown handle or context is answered with an error", async () => {
    const noHandle = ({ contextId }: Context): string =>
      `ChannelError: Cannot deliver message to handle 4711 of context ${contextId}: no such handle`;
    assert.equal(await ask(left2, 4711, null), noHandle(left2));
    assert.equal(await right1.call(ask, left2, 4711, null), noHandle(left2));
    assert.equal(await left1.call(ask, left2, 4711, null), noHandle(left2));
    assert.equal(await left1.call(askMyself, 4711), noHandle(left1));
    const nobody = router.contextById(999);
    const noRoute = "ChannelError: Cannot route message to context 999: no route from context 0";
    assert.equal(await ask(nobody, 4711, null), noRoute);
    assert.equal(await left2.call(ask, nobody, 4711, null), noRoute);
  });

  it("that hangs, the siblings exchange messages, and the program receives none of them", async () => {
    const opened = await beside.call(withMitogen.openReceiver);
    left1.callAsync(remote.hang);
    const before = router.getStats().bytesReceived;
    await left2.call(withMitogen.sendNumbers, opened, 5000);
    // This request and its answer follow the messages.
    await left2.call(waiting.reach, beside);
    const received = router.getStats().bytesReceived - before;
    assert.ok(received < 5000, `${received} bytes`);
    assert.equal((await beside.call(withMitogen.readNumbers)).length, 5000);
  });
});
