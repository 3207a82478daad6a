import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBashLine } from "../../../src/cli/completion/bash-line.ts";

const BREAKS = " \t\n\"'@><=;|&(:";

test("parseBashLine splits as bash does, and keeps what readline keeps", () => {
  const cases: [string, string[], number][] = [
    ["", [""], 0],
    ["mitogen", ["mitogen"], 0],
    ["mitogen ", ["mitogen", ""], 0],
    ["mitogen  hosts --on=@we", ["mitogen", "hosts", "--on=@we"], 5],
    ["mitogen web1,@a", ["mitogen", "web1,@a"], 5],
    ["mitogen kube:a/b", ["mitogen", "kube:a/b"], 5],
    ["mitogen 'a b'", ["mitogen", "a b"], 0],
    ["mitogen 'a@b", ["mitogen", "a@b"], 0],
    [`mitogen "a\\"b" c`, ["mitogen", 'a"b', "c"], 0],
    ["mitogen a\\ b", ["mitogen", "a b"], 0],
    ["mitogen --on='@w", ["mitogen", "--on=@w"], 5],
    ["mitogen a\\", ["mitogen", "a"], 0],
  ];
  for (const [line, words, kept] of cases)
    assert.deepEqual(parseBashLine(line, BREAKS), { words, kept }, line);
});
