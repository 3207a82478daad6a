import assert from "node:assert/strict";
import { test } from "node:test";
import { cut, pad, shortSize, shortTime, widthOf } from "../../../src/cli/screen/fit.ts";
import { foldNames } from "../../../src/cli/screen/fold-names.ts";

test("foldNames makes ranges that --on takes", () => {
  const cases: [string[], string][] = [
    [[], ""],
    [["web1"], "web1"],
    [["web1", "web2", "web3", "web5", "db1"], "web[1-3],web5,db1"],
    [["web08", "web09", "web10", "web11"], "web[08-11]"],
    [["web9", "web10"], "web[9-10]"],
    [["a", "b", "a1b", "a2b", "a4c"], "a,b,a[1-2]b,a4c"],
    [["10.0.0.1", "10.0.0.2"], "10.0.0.1,10.0.0.2"],
    [["web2", "web1"], "web2,web1"],
  ];
  for (const [names, folded] of cases) assert.equal(foldNames(names), folded);
});

test("cut and pad keep to columns, wide characters included", () => {
  assert.equal(cut("abcdef", 6), "abcdef");
  assert.equal(cut("abcdefg", 6), "abcde…");
  assert.equal(cut("abc", 0), "");
  assert.equal(cut("漢字漢字", 5), "漢字…");
  for (let columns = 1; columns < 12; columns++) assert.ok(widthOf(cut("a漢b😀c字d", columns)) <= columns);
  assert.equal(pad("漢", 4), "漢  ");
});

test("shortTime and shortSize print short texts", () => {
  assert.deepEqual([0, 999, 1000, 59_949, 61_000, 3_600_000].map(shortTime), [
    "0ms",
    "999ms",
    "1.0s",
    "59.9s",
    "1m01s",
    "60m00s",
  ]);
  assert.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(shortSize), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
});
