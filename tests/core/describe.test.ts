import assert from "node:assert/strict";
import { test } from "node:test";
import { Context } from "../../src/core/context.ts";
import { ContextDescription, noteConnection } from "../../src/core/describe.ts";
import { dispatchCalls, FakeFunctions } from "../support/fake-functions.ts";
import { masterAndChild } from "../support/fake-tree.ts";

// The fake child does the work of these functions.
const first = (): void => undefined;
const second = (): void => undefined;
const third = (): void => undefined;

test("A description lists the pending calls of every kind, oldest first", async () => {
  const { master, child, context, wire } = masterAndChild();
  master.functions = new FakeFunctions();
  dispatchCalls(child, { first, second, third });
  wire.hold();
  const one = context.call(first);
  const two = context.callAsync(second);
  const three = context.call(third);
  const asked = context.request(2000, null);
  const names = (): string[] => context.describe().calls.map((each) => each.function);
  assert.deepEqual(names(), ["first", "second", "third"]);
  wire.release();
  await Promise.allSettled([one, two.get(), three, asked]);
  assert.deepEqual(names(), []);
});

test("A description prints a hostile hop's claims about a context without control characters", () => {
  const { master } = masterAndChild();
  const context = new Context(master, 7, "db\u001b[2J\n  link to master");
  noteConnection(context, {
    method: "ssh",
    options: {},
    argv: ["ssh", "a\nb"],
    pid: 1,
    nodeVersion: "20.0.0",
    platform: "linux\r\u009b2K",
    arch: "x64\n",
    connectedAt: new Date(0),
  });
  const lines = String(new ContextDescription(context)).split("\n");
  assert.equal(lines[0], "context 7 'db\\u001b[2J\\u000a  link to master': connected");
  assert.ok(lines.includes("  process: pid 1, node 20.0.0, linux\\u000d\\u009b2K x64\\u000a"));
  assert.ok(lines.every((line) => !/\p{Cc}/u.test(line)));
  assert.equal(lines.length, 6);
});
