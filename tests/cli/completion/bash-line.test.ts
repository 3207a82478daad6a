import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { parseBashLine, quoteForBash } from "../../../src/cli/completion/bash-line.ts";

const BREAKS = " \t\n\"'@><=;|&(:";

test("parseBashLine splits as bash does, and keeps what readline keeps", () => {
  const cases: [string, string[], number, string?][] = [
    ["", [""], 0],
    ["mitogen", ["mitogen"], 0],
    ["mitogen ", ["mitogen", ""], 0],
    ["mitogen  hosts --on=@we", ["mitogen", "hosts", "--on=@we"], 5],
    ["mitogen web1,@a", ["mitogen", "web1,@a"], 5],
    ["mitogen kube:a/b", ["mitogen", "kube:a/b"], 5],
    ["mitogen 'a b'", ["mitogen", "a b"], 0],
    ["mitogen 'a@b", ["mitogen", "a@b"], 0, "'"],
    [`mitogen "a\\"b" c`, ["mitogen", 'a"b', "c"], 0],
    ["mitogen a\\ b", ["mitogen", "a b"], 0],
    ["mitogen --on='@w", ["mitogen", "--on=@w"], 5, "'"],
    ["mitogen a\\", ["mitogen", "a"], 0],
  ];
  for (const [line, words, kept, quote = ""] of cases)
    assert.deepEqual(parseBashLine(line, BREAKS), { words, kept, quote }, line);
});

test("quoteForBash makes words that bash reads back unchanged", () => {
  const texts = [
    "web1",
    "@web",
    "tasks.ts#restart",
    "--on=web1",
    "a b",
    "$(touch pwn)",
    "`touch pwn`;x",
    "q&d|e<f>g",
    "it's",
    'say "so"',
    "back\\slash",
    "{a,b}",
    "*?[x]",
    "#first",
    "~root",
    "new\tline",
  ];
  for (const text of texts) {
    for (const quote of ["", "'", '"']) {
      const word = `${quote}${quoteForBash(text, { quote, kept: 0 })}${quote}`;
      const { stdout } = spawnSync("bash", ["--norc", "-c", `printf '<%s>' ${word}`], { encoding: "utf8" });
      assert.equal(stdout, `<${text}>`, word);
    }
  }
  assert.equal(quoteForBash("~/a b", { quote: "", kept: 0 }), "~/a\\ b");
});
