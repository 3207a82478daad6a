import assert from "node:assert/strict";
import { test } from "node:test";
import * as errors from "../src/errors.ts";

test("errors of this library are MitogenErrors, those of connects StreamErrors", () => {
  const connects = ["StreamError", "EofError", "CancelledError", "PasswordError", "HostKeyError"];
  const { ERRORS, ...types } = errors;
  assert.deepEqual(ERRORS, types);
  for (const [name, type] of Object.entries(types)) {
    const error = new type("why");
    assert.ok(error instanceof Error && error instanceof errors.MitogenError, name);
    assert.equal(error instanceof errors.StreamError, connects.includes(name), name);
    // No other is one of another kind.
    const kinds = [errors.CallError, errors.ChannelError, errors.TimeoutError, errors.SelectError].filter(
      (kind) => error instanceof kind,
    );
    assert.ok(kinds.every((kind) => kind.name === name) && (kinds.length === 0 || !connects.includes(name)));
  }
});

test("MitogenError takes its message unchanged, even with percent signs, and a cause", () => {
  const error = new errors.MitogenError("100 % of %s", { cause: 0 });
  assert.deepEqual([error.message, error.cause, Object.keys(error)], ["100 % of %s", 0, ["code"]]);
  assert.equal("cause" in new errors.MitogenError("why"), false);
});
