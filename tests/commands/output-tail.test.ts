import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputTail } from "../../src/commands/output-tail.ts";

test("OutputTail keeps the last bytes, however they are cut", () => {
  const text = Array.from({ length: 500 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
  for (const max of [0, 1, 7, 100, 499, 500, 1000]) {
    for (const size of [1, 3, 7, 99, 200, 500]) {
      const tail = new OutputTail(max);
      for (let at = 0; at < text.length; at += size) {
        tail.push(Buffer.from(text.slice(at, at + size)));
        const soFar = text.slice(0, at + size);
        assert.equal(tail.bytes.toString(), max === 0 ? "" : soFar.slice(-max), `${max}, ${size}`);
      }
      assert.equal(tail.total, 500);
    }
  }
});

test("OutputTail holds at most twice the bytes that it keeps, and copies its input", () => {
  const tail = new OutputTail(1000);
  const chunk = Buffer.alloc(900, "x");
  for (let i = 0; i < 100; i++) tail.push(chunk);
  chunk.fill("y");
  assert.equal(tail.bytes.toString(), "x".repeat(1000));
  assert.ok(tail.bytes.buffer.byteLength <= 2000, `${tail.bytes.buffer.byteLength}`);
});
