import assert from "node:assert/strict";
import { test } from "node:test";
import { headOf, isError, messageOf, stackOf, textOf } from "../../../src/wire/values/thrown.ts";
import { thrown } from "../../fixtures/remote/oddities.ts";

test("headOf, messageOf, stackOf and textOf have a text for anything", () => {
  for (const [name, make] of Object.entries(thrown)) {
    const value = make();
    for (const describe of [headOf, messageOf, stackOf, textOf]) {
      assert.equal(typeof describe(value), "string", `${describe.name} of ${name}`);
    }
    assert.equal(typeof isError(value), "boolean", name);
  }
});

test("headOf and messageOf return what can be read", () => {
  const cases: [thrown: unknown, head: string, message: string][] = [
    [new RangeError("no more"), "RangeError: no more", "no more"],
    [Object.assign(new Error("half"), { name: Symbol("whole") }), "Symbol(whole): half", "half"],
    [Object.assign(new Error(""), { message: Object.create(null) }), "Error: object", "object"],
    ["text", "text", "text"],
    ["", "string", "string"],
    [{ message: "in an object" }, "in an object", "in an object"],
    [{ code: 7 }, '{"code":7}', '{"code":7}'],
    [null, "null", "null"],
    [undefined, "undefined", "undefined"],
    [Symbol("x"), "Symbol(x)", "Symbol(x)"],
  ];
  for (const [value, head, message] of cases) {
    assert.deepEqual([headOf(value), messageOf(value)], [head, message]);
  }
});

test("stackOf returns the stack, or the head if the stack is not a string", () => {
  const error = new RangeError("no more");
  assert.equal(stackOf(error), error.stack);
  assert.equal(stackOf(Object.assign(error, { stack: [] })), "RangeError: no more");
  assert.equal(stackOf(7), "7");
});
