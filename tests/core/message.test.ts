import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { deadReason, Message } from "../../src/core/message.ts";
import { hasParentAuthority, isImmediateChild } from "../../src/core/policy.ts";
import { CallError, ProtocolError } from "../../src/errors.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Encoding, type Frame } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { collectLogs } from "../support/collect-logs.ts";
import { masterAndChild } from "../support/fake-tree.ts";

const fromChild = (change: Partial<Frame> = {}): Frame => ({
  encoding: Encoding.CBOR,
  dstId: 0,
  srcId: 1,
  authId: 1,
  handle: 1000,
  replyTo: 0,
  body: encodeValue("hello"),
  ...change,
});

test("Message.decode returns the value of a CBOR body and the bytes of a raw one", () => {
  const { master } = masterAndChild();
  assert.equal(new Message(master, fromChild()).decode(), "hello");
  const raw = new Message(
    master,
    fromChild({ encoding: Encoding.RAW, body: [Buffer.from("by"), Buffer.from("tes")] }),
  );
  assert.equal(String(raw.decode()), "bytes");
});

test("Message.decode throws a ChannelError with the reason of a dead message", () => {
  const { master } = masterAndChild();
  const message = new Message(
    master,
    fromChild({ replyTo: Handle.IS_DEAD, body: encodeValue("no such handle") }),
  );
  assert.equal(message.isDead, true);
  assert.throws(() => message.decode(), {
    name: "ChannelError",
    code: "ERR_CHANNEL",
    message: "no such handle",
  });
});

test("Message.decode throws a CallError that is the body, and returns one that is inside a value", () => {
  const { master } = masterAndChild();
  const error = new CallError("Error: there", { cause: new TypeError("inner") });
  assert.throws(
    () => new Message(master, fromChild({ body: encodeValue(error) })).decode(),
    (thrown) => thrown instanceof CallError && thrown.cause instanceof TypeError,
  );
  const inside = new Message(master, fromChild({ body: encodeValue([error]) })).decode() as [CallError];
  assert.ok(inside[0] instanceof CallError);
  // An ordinary error is a value like any other.
  assert.ok(
    new Message(master, fromChild({ body: encodeValue(new Error("value")) })).decode() instanceof Error,
  );
});

test("Message.decode throws a ProtocolError for a body that is not a value", () => {
  const { master } = masterAndChild();
  for (const body of ["", "ff", "0000", "5b7fffffffffffffff", "a1", "d9ffff00"]) {
    const message = new Message(master, fromChild({ body: [Buffer.from(body, "hex")] }));
    assert.throws(() => message.decode(), ProtocolError, body);
  }
});

test("deadReason is a sentence, whatever the body holds, and cut when long", () => {
  const dead = (body: readonly Uint8Array[]) => deadReason(fromChild({ replyTo: Handle.IS_DEAD, body }));
  assert.equal(dead(encodeValue("because")), "because");
  for (const body of [
    [],
    [Buffer.from("ff", "hex")],
    encodeValue(1),
    encodeValue(""),
    encodeValue({ toString: 1 }),
  ]) {
    assert.equal(dead(body), "Context 1 closed the channel");
  }
  assert.equal(dead(encodeValue("x".repeat(100_000))).length, 4096);
});

test("Message.reply answers the sender's handle with this context's authority", () => {
  const { master, wire } = masterAndChild();
  new Message(master, fromChild({ replyTo: 1500 })).reply({ ok: true });
  const [{ encoding, dstId, srcId, authId, handle, replyTo, body }] = wire.left.sent as [Frame];
  assert.deepEqual([encoding, dstId, srcId, authId, handle, replyTo], [Encoding.CBOR, 1, 0, 0, 1500, 0]);
  assert.deepEqual(Buffer.concat(body), Buffer.concat(encodeValue({ ok: true })));
});

test("Message.reply sends nothing if no reply was asked for, and nothing to a dead message", () => {
  const { master, wire } = masterAndChild();
  const logs = collectLogs();
  new Message(master, fromChild()).reply(1);
  new Message(master, fromChild({ replyTo: Handle.IS_DEAD })).reply(1);
  // The library itself answers every call, also one that wants no answer.
  new Message(master, fromChild({ handle: Handle.CALL_FUNCTION })).reply(1);
  logs.stop();
  assert.deepEqual(wire.left.sent, []);
  assert.deepEqual(
    logs.records.map(({ level, message }) => [level, message]),
    ["wants no answer: its replyTo is 0", "is a dead message"].map((why) => [
      "debug",
      `Dropped reply to context 1: its message to handle 1000 ${why}`,
    ]),
  );
});

test("Message.reply throws a TypeError for a value that cannot travel, and sends nothing", () => {
  const { master, wire } = masterAndChild();
  const message = new Message(master, fromChild({ replyTo: 1500 }));
  assert.throws(() => message.reply({ a: [() => 1] }), { name: "TypeError", message: /a\[0\]: a function/ });
  assert.deepEqual(wire.left.sent, []);
});

test("Message prints its addresses and size, never its body", () => {
  const { master } = masterAndChild();
  const message = new Message(master, fromChild({ replyTo: 1500, body: encodeValue("hunter2") }));
  const text = "Message(1:1500 -> 0:1000, auth 1, 8 bytes)";
  assert.deepEqual([`${message}`, inspect(message)], [text, text]);
});

test("Message.context is the context that the message came from", () => {
  const { master, context } = masterAndChild();
  assert.equal(new Message(master, fromChild()).context, context);
});

test("hasParentAuthority is true for messages with the authority of this context or one above, whoever sent them", () => {
  const { master, child } = masterAndChild();
  const verdicts = (router: typeof master, ids: readonly [number, number][]) =>
    ids.map(([srcId, authId]) => hasParentAuthority(new Message(router, fromChild({ srcId, authId }))));
  assert.deepEqual(
    verdicts(child, [
      [0, 0],
      [9, 0],
      [1, 1],
      [0, 9],
      [2, 2],
    ]),
    [true, true, true, false, false],
  );
  assert.deepEqual(
    verdicts(master, [
      [0, 0],
      [1, 1],
    ]),
    [true, false],
  );
});

test("isImmediateChild is true for messages of a context at the end of this context's own link", () => {
  const { master, child } = masterAndChild();
  const verdict = (router: typeof master, srcId: number) =>
    isImmediateChild(new Message(router, fromChild({ srcId })));
  assert.deepEqual([verdict(master, 1), verdict(master, 2), verdict(master, 0)], [true, false, false]);
  assert.equal(verdict(child, 0), false);
});
