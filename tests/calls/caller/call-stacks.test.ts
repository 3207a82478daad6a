import assert from "node:assert/strict";
import { createHook } from "node:async_hooks";
import { test } from "node:test";
import type { Context } from "../../../src/core/context.ts";
import { dispatchCalls, FakeFunctions } from "../../support/fake-functions.ts";
import { masterAndChild } from "../../support/fake-tree.ts";

/** The number of calls in flight to one context that have a place of their own: docs/errors.md#stacks. */
const PLACES = 32;

// The fake child does the work of this function.
const fail = (_message: string): void => undefined;

function calling() {
  const pair = masterAndChild();
  pair.master.functions = new FakeFunctions();
  dispatchCalls(pair.child, {
    fail: (message: string) => {
      throw new Error(message);
    },
  });
  return pair;
}

function viaHelper(context: Context): Promise<void> {
  return context.call(fail, "no");
}

async function callOften(count: number, context: Context): Promise<string[]> {
  const results = await Promise.allSettled(Array.from({ length: count }, () => viaHelper(context)));
  return results.map((each) => localPart((each as PromiseRejectedResult).reason));
}

/** The stack from the place where the call left this side. */
function localPart(error: Error): string {
  return (error.stack ?? "").split("\n    at [child.1]\n")[1] ?? "";
}

test("A call's error shows who made the call, even helpers that did not await it", async () => {
  const { context } = calling();
  const [stack = ""] = await callOften(1, context);
  assert.match(stack, /^ {4}at viaHelper /);
  assert.match(stack, /\n {4}at .*callOften /);
});

test("A burst's errors show who awaits them, from the 33rd pending call on, and only lines of the program", async () => {
  const { context, wire } = calling();
  wire.hold();
  const stacks = callOften(PLACES + 2, context);
  wire.release();
  for (const [at, stack] of (await stacks).entries()) {
    if (at < PLACES) {
      assert.match(stack, /^ {4}at viaHelper /, `call ${at}`);
      continue;
    }
    assert.match(stack, /^ {4}at async Promise\.allSettled \(index \d+\)\n {4}at async callOften /);
    assert.doesNotMatch(stack, /viaHelper|^ {4}at (?!async )/m);
  }
  const [after = ""] = await callOften(1, context);
  assert.match(after, /^ {4}at viaHelper /, "once they are over, calls have a place again");
});

test("A burst's errors are complete if nobody awaits them", async () => {
  const { context, wire } = calling();
  wire.hold();
  const errors: Error[] = [];
  const calls = Array.from({ length: PLACES + 1 }, () =>
    viaHelper(context).catch((error) => {
      errors.push(error);
    }),
  );
  wire.release();
  await Promise.all(calls);
  assert.equal(errors.length, PLACES + 1);
  for (const error of errors)
    assert.match(error.stack ?? "", /^CallError: Error: no\n.*\n {4}at \[child\.1\]\n/s);
});

test("Context.call makes one promise", async () => {
  const { context, wire } = calling();
  wire.hold();
  let promises = 0;
  const hook = createHook({
    init: (_id, type) => {
      if (type === "PROMISE") promises += 1;
    },
  }).enable();
  const calls = Array.from({ length: 100 }, () => context.call(fail, "no"));
  hook.disable();
  wire.release();
  await Promise.allSettled(calls);
  assert.equal(promises, 100);
});
