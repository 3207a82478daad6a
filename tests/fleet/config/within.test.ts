import assert from "node:assert/strict";
import { test } from "node:test";
import { TimeoutError } from "../../../src/errors.ts";
import { InventoryError } from "../../../src/fleet/config/inventory-error.ts";
import { within } from "../../../src/fleet/config/within.ts";
import { checkLeaks } from "../../support/leak-check.ts";

checkLeaks();

test("within waits a bounded time for the result or the error", async () => {
  assert.equal(await within("x", undefined, async () => 1), 1);
  const error = new Error("no");
  await assert.rejects(
    within("x", undefined, () => Promise.reject(error)),
    error,
  );
  const never = (): Promise<void> => new Promise(() => {});
  await assert.rejects(within("ask the oracle", undefined, never, 1), (late: Error) => {
    assert.ok(late instanceof InventoryError && late.cause instanceof TimeoutError);
    assert.equal(late.message, "Cannot ask the oracle: no result within 1 ms");
    return true;
  });
  const signal = AbortSignal.abort(error);
  await assert.rejects(within("x", signal, never), error);
});
