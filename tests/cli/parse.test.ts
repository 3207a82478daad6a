import assert from "node:assert/strict";
import { test } from "node:test";
import type { OptionTable } from "../../src/cli/command.ts";
import { parse } from "../../src/cli/parse.ts";
import { UsageError } from "../../src/cli/usage-error.ts";
import { count, duration, share, shares } from "../../src/cli/values.ts";

const OPTIONS: OptionTable = {
  on: { type: "string", multiple: true, value: "HOSTS", text: "" },
  parallel: { type: "string", short: "p", text: "" },
  json: { type: "boolean", text: "" },
  sudo: { type: "optional", value: "USER", text: "" },
};

test("parse takes options, operands, and the words after --", () => {
  const words = ["a#b", "--on", "x", "--sudo", "c", "--on=-y", "--json", "-p8", "--", "--on", "z", "--"];
  assert.deepEqual(parse(words, OPTIONS, "run"), {
    values: { on: ["x", "-y"], sudo: true, json: true, parallel: "8" },
    operands: ["a#b", "c"],
    rest: ["--on", "z", "--"],
  });
  assert.equal(parse(["--sudo=ada"], OPTIONS, "run").values["sudo"], "ada");
  assert.equal(parse([], OPTIONS, "run").rest, undefined);
  assert.deepEqual(parse(["--"], OPTIONS, "run").rest, []);
});

test("parse refuses unknown options, with the nearest name, and missing or surplus values", () => {
  const cases: [string[], string][] = [
    [["--jsno"], "Unknown option --jsno; did you mean --json?"],
    [["--__proto__=1"], "Unknown option --__proto__"],
    [["-z"], "Unknown option -z"],
    [["--on"], "--on needs a value: --on HOSTS"],
    [["--on="], "--on needs a value: --on HOSTS"],
    [["--on", "--json"], '--on needs a value, but "--json" follows; write --on=--json if that is the value'],
    [["--json=yes"], '--json takes no value, got "yes"'],
    [["--sudo="], '--sudo= has no value: write one after the "=", or leave out the "="'],
  ];
  for (const [words, message] of cases) {
    assert.throws(
      () => parse(words, OPTIONS, "run"),
      (error) => error instanceof UsageError && error.message === message && error.command === "run",
      words.join(" "),
    );
  }
});

test("duration, count and share read values, and refuse invalid ones", () => {
  assert.deepEqual(
    ["500ms", "60s", "60", "5m", "1h", "1.5s"].map((text) => duration(text, "--timeout")),
    [500, 60_000, 60_000, 300_000, 3_600_000, 1500],
  );
  for (const text of ["", "0", "-1s", "5 m", "1d", "1e3", "999999999h", "NaN"]) {
    assert.throws(() => duration(text, "--timeout"), UsageError, text);
  }
  assert.equal(count("8", "--parallel"), 8);
  for (const text of ["0", "1.5", "", "0x10", " 3"])
    assert.throws(() => count(text, "--parallel"), UsageError);
  assert.deepEqual(shares("1, 10%,50%", "--batch"), ["1", "10%", "50%"]);
  for (const text of ["", "101%", "ten", "%", "-1"])
    assert.throws(() => share(text, "--max-fail"), UsageError);
});
