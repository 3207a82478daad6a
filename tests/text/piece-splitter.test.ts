import assert from "node:assert/strict";
import { test } from "node:test";
import { PieceSplitter } from "../../src/text/piece-splitter.ts";

test("PieceSplitter joins lines, however they were cut, and delivers the last one at the end", () => {
  const lines: string[] = [];
  const splitter = new PieceSplitter((found) => lines.push(...found));
  for (const byte of Buffer.from("ä\n\nb\nc\n…")) splitter.take(Buffer.of(byte));
  assert.deepEqual(lines, ["ä", "", "b", "c"]);
  splitter.flush();
  splitter.flush();
  assert.deepEqual(lines, ["ä", "", "b", "c", "…"]);
});

test("PieceSplitter needs little memory for a line in a million pieces", () => {
  const lines: string[] = [];
  const splitter = new PieceSplitter((found) => lines.push(...found));
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 1_000_000; i++) splitter.take(Buffer.of(i % 10 === 9 ? 0x2c : 0x30 + (i % 10)));
  assert.ok(process.memoryUsage().heapUsed - before < 60_000_000);
  splitter.take(Buffer.from("end\n"));
  assert.deepEqual(lines, [`${"012345678,".repeat(100_000)}end`]);
});
