import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel } from "../../src/core/channel.ts";
import { masterAndChild } from "../support/fake-tree.ts";

function twoEnds() {
  const { master, child, context } = masterAndChild();
  const far = new Channel<string>(child, { context: child.contextById(0), dstHandle: 2000, handle: 3000 });
  const near = new Channel<string>(master, { context, dstHandle: 3000, handle: 2000 });
  return { near, far, master, context };
}

test("Channel sends and receives (RCV-11)", async () => {
  const { near, far } = twoEnds();
  await near.send("there");
  assert.equal((await far.get()).decode(), "there");
  await far.send("and back");
  assert.equal((await near.get()).decode(), "and back");
});

test("Channel.close closes both directions, and may be called twice (RCV-11)", async () => {
  const { near, far } = twoEnds();
  const waits = [near.get(), far.get()];
  near.close();
  near.close();
  await assert.rejects(waits[0] as Promise<unknown>, { message: "The receiver was closed" });
  await assert.rejects(waits[1] as Promise<unknown>, { message: "The sender in context 0 was closed" });
  assert.equal(far.size(), 0, "the other end was told once");
});

test("Channel refuses a handle that is none, and registers nothing (RCV-11)", () => {
  const { master, context, near } = twoEnds();
  near.close();
  for (const dstHandle of [0, -1, 1.5, 2 ** 32, Number.NaN]) {
    assert.throws(() => new Channel(master, { context, dstHandle, handle: 2000 }), {
      name: "RangeError",
      message: `Cannot make a channel: dstHandle must be an integer from 1 to 4294967295, got ${dstHandle}`,
    });
  }
  new Channel(master, { context, dstHandle: 1, handle: 2000 });
});
