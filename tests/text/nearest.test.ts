import assert from "node:assert/strict";
import { test } from "node:test";
import { didYouMean, nearest } from "../../src/text/nearest.ts";

const COMMANDS = ["run", "exec", "put", "get", "ping", "facts", "doctor"];

test("nearest finds the word with the fewest changes", () => {
  const cases: [string, string | undefined][] = [
    ["exce", "exec"],
    ["doctr", "doctor"],
    ["FACTS", "facts"],
    ["pign", "ping"],
    ["facst", "facts"],
    ["rum", "run"],
    ["completion", undefined],
    ["", undefined],
    ["x".repeat(100_000), undefined],
  ];
  for (const [word, wanted] of cases) assert.equal(nearest(word, COMMANDS), wanted, word.slice(0, 20));
});

test("didYouMean says nothing if no word is near", () => {
  assert.equal(didYouMean("exce", COMMANDS), '; did you mean "exec"?');
  assert.equal(didYouMean("kubernetes", COMMANDS), "");
});
