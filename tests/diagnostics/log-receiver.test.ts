import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../src/core/message.ts";
import { receiveLogs } from "../../src/diagnostics/log-receiver.ts";
import { LogLevel, type LogRecord } from "../../src/logging/log.ts";
import { LineSplitter } from "../../src/text/line-splitter.ts";
import { Handle } from "../../src/wire/handles.ts";
import { captureLogs } from "../support/fake-log-sink.ts";
import { masterAndChild } from "../support/fake-tree.ts";

/** A master that takes logs, and a function with which its child sends them. */
function forwarding() {
  const pair = masterAndChild();
  receiveLogs(pair.master);
  const forward = (batch: unknown) =>
    pair.child.route(Message.to(pair.child, { dstId: 0, handle: Handle.FORWARD_LOG }, { value: batch }));
  return { ...pair, forward };
}

const line = (change: { name?: unknown; level?: unknown; text?: unknown; time?: unknown } = {}) => {
  const { name = "app", level = LogLevel.info, text = "hello", time = 1000 } = change;
  return [name, level, text, time];
};

test("receiveLogs turns records of a child into records of this process, under the context's name", (t) => {
  const records = captureLogs(t);
  const { forward, context } = forwarding();
  forward([line(), line({ name: "stdout", level: LogLevel.error, text: "second", time: 2000 })]);
  assert.deepEqual(records, [
    {
      time: 1000,
      level: "info",
      logger: "mitogen.ctx.child.1",
      message: "app: hello",
      mitogenContext: context,
      mitogenName: "app",
      mitogenMsg: "hello",
    },
    {
      time: 2000,
      level: "error",
      logger: "mitogen.ctx.child.1",
      message: "stdout: second",
      mitogenContext: context,
      mitogenName: "stdout",
      mitogenMsg: "second",
    },
  ] satisfies LogRecord[]);
});

test("receiveLogs drops a batch of the wrong shape, with one error of this process", (t) => {
  const records = captureLogs(t);
  const { forward } = forwarding();
  const wrong: unknown[] = [
    null,
    "text",
    {},
    [null],
    ["text"],
    [[]],
    [{ 0: "app", 1: 3, 2: "text", 3: 1 }],
    [line({ name: 1 })],
    [line({ name: null })],
    [line({ text: new Uint8Array(3) })],
    [line({ time: "now" })],
    [line({ time: 1n })],
    [line({ level: LogLevel.none })],
    [line({ level: LogLevel.io })],
    [line({ level: -1 })],
    [line({ level: 2.5 })],
    [line({ level: "info" })],
    [line({ level: null })],
  ];
  for (const batch of wrong) {
    records.length = 0;
    forward(batch);
    assert.deepEqual(
      records.map(({ level, logger }) => `${level} ${logger}`),
      ["error mitogen.router"],
      JSON.stringify(batch, (_key, value) => (typeof value === "bigint" ? String(value) : value)),
    );
    assert.match(records[0]?.message ?? "", /^Handler for 102 failed: ProtocolError/);
  }
});

test("receiveLogs cuts a child's logger names, removes control characters from them, and cuts long messages", (t) => {
  const records = captureLogs(t);
  const { forward } = forwarding();
  forward([line({ name: "n".repeat(1000) }), line({ name: "a\nb\x1b[2J\x9bc" })]);
  assert.deepEqual(
    records.map(({ mitogenName }) => mitogenName),
    ["n".repeat(200), "a b [2J c"],
  );
  const mebi = 1024 * 1024;
  forward([line({ text: "\x01a".repeat(9 * mebi) })]);
  assert.equal(records.at(-1)?.mitogenMsg, `${"\x01a".repeat(8 * mebi)}… [${2 * mebi} characters more]`);
});

test("receiveLogs takes a thousand records at once, and a child never sends more", (t) => {
  const records = captureLogs(t);
  const { forward } = forwarding();
  forward(Array.from({ length: 1000 }, () => line()));
  assert.equal(records.length, 1000);
  forward(Array.from({ length: 1001 }, () => line()));
  assert.equal(records.length, 1001);
  assert.match(records[1000]?.message ?? "", /at most 1000 records|too many items/);
  const batches: string[][] = [];
  const splitter = new LineSplitter((lines) => batches.push(lines));
  splitter.take(Buffer.from("x".repeat(10)));
  splitter.take(Buffer.from("a\n".repeat(2500)));
  assert.deepEqual(
    batches.map(({ length }) => length),
    [1000, 1000, 500],
  );
  assert.equal(batches[0]?.[0], `${"x".repeat(10)}a`);
});

test("receiveLogs ignores dead messages", (t) => {
  const records = captureLogs(t);
  const { child } = forwarding();
  child.routeFrame(child.deadFrame(0, Handle.FORWARD_LOG, "gone"));
  assert.deepEqual(records, []);
});
