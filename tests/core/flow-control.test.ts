import assert from "node:assert/strict";
import { test } from "node:test";
import { WINDOW_BYTES } from "../../src/core/flow-control.ts";
import { Message } from "../../src/core/message.ts";
import { Receiver } from "../../src/core/receiver.ts";
import { Sender } from "../../src/core/sender.ts";
import { ChannelError } from "../../src/errors.ts";
import { FakeRouter } from "../support/fake-tree.ts";
import { LinkPair } from "../support/link-pair.ts";

const CHUNK = Buffer.alloc(32 * 1024, 1);

/** Sends until a send has to wait. Returns how many messages left, and that send. */
async function fill(sender: Sender<Uint8Array>): Promise<{ sent: number; blocked: Promise<void> }> {
  for (let sent = 0; ; sent++) {
    const sending = sender.send(CHUNK);
    const isSent = await Promise.race([sending.then(() => true), turns(5).then(() => false)]);
    if (!isSent) return { sent, blocked: sending };
    assert.ok(sent < 1000, "nothing holds the sender back");
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

function pair() {
  const parent = new FakeRouter({ contextId: 0 });
  const child = new FakeRouter({ contextId: 1, parentIds: [0] });
  const links = new LinkPair();
  parent.attach(links.left, 1, "child");
  child.attach(links.right, 0, "parent");
  const receiver = new Receiver<Uint8Array>(parent);
  const sender = new Sender<Uint8Array>(child, parent.contextId, receiver.handle);
  return { parent, child, receiver, sender };
}

test("Sender.send waits while about 1 MiB is unread, and continues as it is read", async () => {
  const { receiver, sender } = pair();
  const { sent, blocked } = await fill(sender);
  const bytes = sent * CHUNK.length;
  assert.ok(bytes > WINDOW_BYTES / 2 && bytes < 1.5 * WINDOW_BYTES, `${bytes} bytes were sent ahead`);
  for (let i = 0; i < sent; i++) await receiver.get();
  await blocked;
  await receiver.get();
  assert.equal(receiver.size(), 0);
});

test("Sender.send sends a message larger than the window once the others are read", async () => {
  const { receiver, sender } = pair();
  const { sent, blocked } = await fill(sender);
  const huge = sender.send(Buffer.alloc(3 * WINDOW_BYTES));
  for (let i = 0; i <= sent; i++) await receiver.get();
  await blocked;
  assert.equal(((await receiver.get()).decode() as Uint8Array).length, 3 * WINDOW_BYTES);
  await huge;
});

test("Sender.send rejects when the receiver is closed, while it waits or later", async () => {
  const { receiver, sender } = pair();
  const { blocked } = await fill(sender);
  receiver.close();
  await assert.rejects(blocked, ChannelError);
  await assert.rejects(sender.send(CHUNK), ChannelError);
});

test("Sender.send rejects when the receiver's context is gone", async () => {
  const { child, parent, sender } = pair();
  const { blocked } = await fill(sender);
  child.endRespondents(new Set([parent.contextId]), "the context went away");
  await assert.rejects(blocked, /the context went away/);
});

test("Sender.send to a receiver that reads nothing ends at its bounds, and the value is not sent", async (t) => {
  const { child, receiver, sender } = pair();
  const { sent, blocked } = await fill(sender);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const late = sender.send(CHUNK, { timeoutMs: 1000 });
  t.mock.timers.tick(1000);
  t.mock.timers.reset();
  await assert.rejects(late, {
    code: "ERR_TIMEOUT",
    message: "Cannot send to context 0, which does not read: no answer within 1000 ms",
  });
  const end = new AbortController();
  const given = [
    sender.send(Buffer.from("not this"), { signal: end.signal }),
    sender.send(Buffer.from("this")),
  ];
  end.abort(new Error("enough"));
  await assert.rejects(given[0] as Promise<void>, /enough/);
  await assert.rejects(sender.send(CHUNK, { signal: end.signal }), /enough/);
  assert.equal(child.fakeBroker.holds, 2);
  for (let i = 0; i <= sent; i++) await receiver.get();
  await Promise.all([blocked, given[1]]);
  assert.equal(String((await receiver.get()).decode()), "this");
  assert.deepEqual([receiver.size(), child.fakeBroker.holds], [0, 0]);
});

test("Sender.close is sent at once if all waiting values were given up", async () => {
  const { child, receiver, sender } = pair();
  const end = new AbortController();
  const sending: Promise<void>[] = [];
  for (let i = 0; i < 100; i++) sending.push(sender.send(CHUNK, { signal: end.signal }));
  const settled = Promise.allSettled(sending);
  const sent = receiver.size();
  assert.ok(sent < sending.length);
  sender.close();
  assert.equal(receiver.size(), sent);
  end.abort(new Error("enough"));
  assert.equal(receiver.size(), sent + 1);
  await settled;
  assert.equal(child.fakeBroker.holds, 0);
});

test("Sender.close follows the values that still wait", async () => {
  const { receiver, sender } = pair();
  const { sent, blocked } = await fill(sender);
  sender.close();
  let received = 0;
  for await (const _message of receiver) received += 1;
  assert.equal(received, sent + 1);
  await blocked;
});

test("A handler counts as a reader, so its senders never wait", async () => {
  const { parent, child } = pair();
  let bytes = 0;
  const handle = parent.addHandler((message) => {
    bytes += (message.decode() as Uint8Array).length;
  });
  const sender = new Sender<Uint8Array>(child, parent.contextId, handle);
  for (let i = 0; i < 200; i++) await sender.send(CHUNK);
  await turns(5);
  assert.equal(bytes, 200 * CHUNK.length);
});

for (const lie of [2 ** 40, -1])
  test(`A receiver that claims to have read ${lie} bytes is sent nothing more`, async () => {
    const { parent, receiver, sender } = pair();
    const { blocked } = await fill(sender);
    let message = await receiver.get();
    while (message.replyTo === 0) message = await receiver.get();
    const { srcId, replyTo } = message;
    parent.route(Message.to(parent, { dstId: srcId, handle: replyTo }, { value: lie }));
    await assert.rejects(blocked, ChannelError);
    await assert.rejects(sender.send(CHUNK), ChannelError);
  });
