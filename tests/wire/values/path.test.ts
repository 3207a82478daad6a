import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPath } from "../../../src/wire/values/path.ts";

test("formatPath writes a path as JavaScript would", () => {
  assert.equal(formatPath([]), "value");
  assert.equal(formatPath([], "argument 1"), "argument 1");
  assert.equal(formatPath(["users", 3, "$fn_2"]), "value.users[3].$fn_2");
  assert.equal(
    formatPath(["odd key", "1", "", "é", 'say "hi"']),
    'value["odd key"]["1"][""]["é"]["say \\"hi\\""]',
  );
});

test("formatPath cuts long keys", () => {
  assert.equal(formatPath(["x y".repeat(100)]), `value["${"x y".repeat(100).slice(0, 50)}…"]`);
  assert.ok(formatPath(["x".repeat(1000)]).length < 100);
});
