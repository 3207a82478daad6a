import assert from "node:assert/strict";
import { test } from "node:test";
import { Sender } from "../../src/core/sender.ts";
import { CallError } from "../../src/errors.ts";
import { type ArgSpec, checkArguments, checkSpec } from "../../src/service/arg-spec.ts";

function outcome(spec: ArgSpec, args: Record<string, unknown>): string {
  try {
    checkArguments(spec, args, "put of service files");
    return "passes";
  } catch (error) {
    assert.ok(error instanceof CallError);
    assert.equal(error.code, "ERR_SERVICE_ARGUMENT");
    return error.message;
  }
}

const missing = (name: string, expected: string): string =>
  `Cannot call put of service files: argument "${name}" is missing, expected ${expected}`;
const wrong = (name: string, got: string, expected: string): string =>
  `Cannot call put of service files: argument "${name}" is of the wrong type, got ${got}, expected ${expected}`;

test("checkArguments looks only at required arguments", () => {
  const spec = { name: "string", count: "number" } as const;
  assert.equal(outcome(spec, { name: "a", count: 1 }), "passes");
  assert.equal(outcome(spec, { name: "a", count: 1, other: () => 1 }), "passes");
  assert.equal(outcome({}, { anything: 1 }), "passes");
});

test("checkArguments names a missing argument and its expected type", () => {
  const spec = { name: "string", data: Uint8Array } as const;
  assert.equal(outcome(spec, {}), missing("name", "string"));
  assert.equal(outcome(spec, { name: "a", data: undefined }), missing("data", "Uint8Array"));
  // Inherited properties do not count.
  assert.equal(outcome({ toString: "any" } as never, {}), missing("toString", "any"));
});

test("checkArguments names an argument of another type, that type and the expected one", () => {
  const cases: [unknown, ArgSpec[string], string, string][] = [
    [1, "string", "number", "string"],
    [null, "object", "null", "object"],
    [null, "string", "null", "string"],
    [[1], "string", "array", "string"],
    [{}, "array", "object", "array"],
    [new Date(), "number", "Date", "number"],
    ["x", Uint8Array, "string", "Uint8Array"],
    [new Map(), Uint8Array, "Map", "Uint8Array"],
    [{ constructor: "Uint8Array" }, Uint8Array, "object", "Uint8Array"],
    [true, ["string", "number"], "boolean", "string or number"],
    [1, Sender, "number", "Sender"],
  ];
  for (const [value, type, got, expected] of cases) {
    assert.equal(outcome({ x: type }, { x: value }), wrong("x", got, expected));
  }
});

test("checkArguments knows every type", () => {
  const cases: [unknown, ArgSpec[string]][] = [
    ["", "string"],
    [0, "number"],
    [false, "boolean"],
    [1n, "bigint"],
    [{}, "object"],
    [[], "array"],
    [[], "object"],
    [null, "any"],
    [Buffer.of(1), Uint8Array],
    [new Date(), Date],
    [1, ["string", "number"]],
    [null, ["string", "any"]],
  ];
  for (const [value, type] of cases) assert.equal(outcome({ x: type }, { x: value }), "passes");
});

test("checkSpec refuses an unknown type when the class is defined", () => {
  for (const type of ["text", 5, null, [], ["string", "text"], {}]) {
    assert.throws(() => checkSpec({ x: type as never }), /^TypeError: Cannot expect argument "x" to be/);
  }
});
