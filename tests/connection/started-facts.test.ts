import assert from "node:assert/strict";
import { test } from "node:test";
import { readFacts } from "../../src/connection/started-facts.ts";

test("readFacts: takes what a context says of its child", () => {
  assert.deepEqual(readFacts([12, "linux", "x64", ["ssh", "web1"]]), {
    pid: 12,
    platform: "linux",
    arch: "x64",
    argv: ["ssh", "web1"],
  });
});

test("readFacts: has a value for every fact, whatever a context says", () => {
  const unknown = { pid: Number.NaN, platform: "unknown", arch: "unknown", argv: [] };
  assert.deepEqual(readFacts([]), unknown);
  assert.deepEqual(readFacts(["12", 1, null, "sh -c"]), unknown);
  assert.deepEqual(readFacts([1, "linux", "x64", ["sh", 7]]).argv, ["sh", "unknown"]);
});

test("readFacts: cuts long claims", () => {
  const { platform, argv } = readFacts([1, "p".repeat(5000), "x64", Array(2000).fill("w".repeat(5000))]);
  assert.equal(platform.length, 4096);
  assert.equal(argv.length, 1000);
  assert.equal(argv[0]?.length, 4096);
});
