import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "../../src/bootstrap/history.ts";

const MAX_LINES = 100;
const MAX_CHARACTERS = 2000;
const bytes = (text: string) => Buffer.from(text);

test("History.push returns the lines that were completed", () => {
  const history = new History();
  assert.deepEqual(history.push("stderr", bytes("one\ntw")), ["one"]);
  assert.deepEqual(history.push("stderr", bytes("o")), []);
  assert.deepEqual(history.push("stderr", bytes("\nthree\n")), ["two", "three"]);
  assert.deepEqual(history.lines(), ["one", "two", "three"]);
});

test("History keeps streams apart, and their lines in the order of completion, open ones last", () => {
  const history = new History();
  history.push("stdout", bytes("out-"));
  history.push("stderr", bytes("err-"));
  history.push("stdout", bytes("1\nopen out"));
  history.push("stderr", bytes("1\nopen err"));
  assert.deepEqual(history.lines(), ["out-1", "err-1", "open out", "open err"]);
  assert.equal(history.toString(), "out-1\nerr-1\nopen out\nopen err");
});

test("History shows no empty lines", () => {
  const history = new History();
  history.push("stderr", bytes("\n\none\n\r\n\x07\ntwo\n\n"));
  assert.deepEqual(history.lines(), ["one", "two"]);
});

test("History keeps the last 100 lines", () => {
  const one = new History();
  one.push("stderr", bytes(Array.from({ length: 1000 }, (_, index) => `line ${index}\n`).join("")));
  const many = new History();
  for (let index = 0; index < 1000; index++) many.push("stderr", bytes(`line ${index}\n`));
  for (const history of [one, many]) {
    assert.equal(history.lines().length, MAX_LINES);
    assert.deepEqual([history.lines()[0], history.lines().at(-1)], ["line 900", "line 999"]);
  }
});

test("History cuts long lines, whether they came whole or in pieces", () => {
  const long = "x".repeat(10 * MAX_CHARACTERS);
  const whole = new History();
  assert.deepEqual(whole.push("stderr", bytes(`${long}\n`)), ["x".repeat(MAX_CHARACTERS)]);
  const open = new History();
  for (let index = 0; index < 100; index++) open.push("stderr", bytes(long));
  assert.deepEqual(open.lines(), ["x".repeat(MAX_CHARACTERS)]);
  assert.equal(open.push("stderr", bytes("end\nnext\n"))[1], "next");
});

test("History keeps characters of several bytes whole, wherever they were cut", () => {
  const text = "Zugriff verweigert: é, 漢字, 🔑\n";
  const whole = bytes(text);
  for (let cut = 0; cut <= whole.length; cut++) {
    const history = new History();
    history.push("stderr", whole.subarray(0, cut));
    history.push("stdout", bytes("x"));
    history.push("stderr", whole.subarray(cut));
    assert.equal(history.lines()[0], text.trim(), `cut at ${cut}`);
  }
});

test("History shows bytes that are not UTF-8 as replacement characters", () => {
  const history = new History();
  history.push("stderr", Buffer.from("666f6ffffe00c3280a", "hex"));
  assert.deepEqual(history.lines(), ["foo\ufffd\ufffd\ufffd("]);
  const open = new History();
  open.push("stderr", Buffer.from("61e282", "hex"));
  assert.deepEqual(open.lines(), ["a\ufffd"]);
});

test("History removes escape sequences and control characters, but not tabs", () => {
  const history = new History();
  history.push(
    "stderr",
    bytes("\x1b[31;1mred\x1b[0m\ta\bb\rc\x00\x7f\x1b]0;title\x07\u009b2Jd\u0085e\x1b[?25l\x1b[2 q\n"),
  );
  assert.deepEqual(history.lines(), ["red\tabc]0;title2Jde"]);
});
