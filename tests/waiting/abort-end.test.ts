import assert from "node:assert/strict";
import { test } from "node:test";
import { newAbortEnd, PlainAbortEnd } from "../../src/waiting/abort-end.ts";

for (const [name, make] of [
  ["Node's own", () => new AbortController()],
  ["the stand-in", () => new PlainAbortEnd()],
] as const) {
  test(`AbortSignal, ${name}: aborts once, with its reason, and calls every listener`, () => {
    const end = make();
    const { signal } = end;
    const seen: string[] = [];
    const counted = (): void => void seen.push("function");
    signal.addEventListener("abort", counted);
    signal.addEventListener("abort", counted);
    signal.addEventListener("abort", { handleEvent: (event) => void seen.push(event.type) });
    signal.addEventListener("other" as "abort", () => void seen.push("other"));
    const removed = (): void => void seen.push("removed");
    signal.addEventListener("abort", removed);
    signal.removeEventListener("abort", removed);
    signal.onabort = () => void seen.push("onabort");
    assert.equal(signal.aborted, false);
    signal.throwIfAborted();
    const reason = new RangeError("enough");
    end.abort(reason);
    end.abort(new Error("again"));
    assert.deepEqual([signal.aborted, signal.reason], [true, reason]);
    assert.deepEqual(seen.sort(), ["abort", "function", "onabort"]);
    assert.throws(
      () => signal.throwIfAborted(),
      (error) => error === reason,
    );
  });
  test(`AbortSignal, ${name}: calls a listener with once only once`, () => {
    const { signal } = make();
    let count = 0;
    signal.addEventListener("abort", () => count++, { once: true });
    signal.dispatchEvent(new Event("abort"));
    signal.dispatchEvent(new Event("abort"));
    assert.equal(count, 1);
  });
}

test("newAbortEnd returns Node's own if that is complete", () => {
  assert.ok(newAbortEnd() instanceof AbortController);
});
