import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel } from "../../src/core/channel.ts";
import { Sender } from "../../src/core/sender.ts";
import { connect, FakeRouter, masterAndChild } from "../support/fake-tree.ts";

function twoEnds() {
  const { master, child, context, wire } = masterAndChild();
  const far = new Channel<string>(child, { context: child.contextById(0), dstHandle: 2000, handle: 3000 });
  const near = new Channel<string>(master, { context, dstHandle: 3000, handle: 2000 });
  return { near, far, master, context, wire };
}

test("Channel sends and receives", async () => {
  const { near, far } = twoEnds();
  await near.send("there");
  assert.equal((await far.get()).decode(), "there");
  await far.send("and back");
  assert.equal((await near.get()).decode(), "and back");
});

test("Channel.close closes both directions, and may be called twice", async () => {
  const { near, far } = twoEnds();
  const waits = [near.get(), far.get()];
  near.close();
  near.close();
  await assert.rejects(waits[0] as Promise<unknown>, { message: "The receiver was closed" });
  await assert.rejects(waits[1] as Promise<unknown>, { message: "The sender in context 0 was closed" });
  assert.equal(far.size(), 0, "the other end was told once");
});

test("Channel refuses an invalid handle, and registers nothing", () => {
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

test("Channel takes messages only from its other end, and ends with it", async () => {
  const { near, master, wire } = twoEnds();
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  connect(master, other);
  await new Sender<string>(other, 0, 2000).send("forged");
  assert.equal(near.size(), 0);
  wire.cut("child.1: disconnected");
  await assert.rejects(near.get(), { name: "ChannelError", message: "child.1: disconnected" });
});

test("Channel with its own respondent takes messages from that context", async () => {
  const { master, context } = twoEnds();
  const other = new FakeRouter({ contextId: 2, parentIds: [0] });
  const { context: respondent } = connect(master, other);
  const channel = new Channel<string>(master, { context, dstHandle: 3000, respondent });
  await new Sender<string>(other, 0, channel.handle).send("let in");
  assert.equal((await channel.get()).decode(), "let in");
});
