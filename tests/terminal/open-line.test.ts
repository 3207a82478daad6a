import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { OpenLine } from "../../src/terminal/open-line.ts";
import { quoteForSh } from "../../src/text/shell-quote.ts";
import { repoRoot } from "../support/lab.ts";

/** What a terminal of `columns` shows: lines without the spaces at their ends. */
function screenOf(written: string, columns = 80): string[] {
  const rows: string[][] = [[]];
  let [row, column] = [0, 0];
  const at = (index: number): string[] => {
    while (rows.length <= index) rows.push([]);
    return rows[index] as string[];
  };
  for (const [token] of written.matchAll(/\x1b\[[\d;?]*[A-Za-z]|[\s\S]/g)) {
    if (token === "\r") column = 0;
    else if (token === "\n") [row, column] = [row + 1, 0];
    else if (/^\x1b\[\d*A$/.test(token)) row -= Number(token.slice(2, -1) || 1);
    else if (token === "\x1b[J") {
      at(row).length = column;
      rows.length = row + 1;
    } else if (token === "\x1b[2K") at(row).length = 0;
    else if (/^\x1b\[[01]?G$/.test(token)) column = 0;
    else if (!token.startsWith("\x1b")) {
      if (column === columns) [row, column] = [row + 1, 0];
      const line = at(row);
      while (line.length < column) line.push(" ");
      line[column++] = token;
    }
  }
  return rows.map((cells) => cells.join("").trimEnd());
}

/** The terminal after these writes, of which a record is `log:…`. */
function show(writes: readonly string[], columns = 80): string[] {
  const line = new OpenLine();
  let written = "";
  for (const text of writes) {
    if (text.startsWith("log:")) written += line.above(`${text}\n`, columns).replace(/\n/g, "\r\n");
    else {
      line.note(text);
      written += text.replace(/\n/g, "\r\n");
    }
  }
  return screenOf(written, columns);
}

test("OpenLine keeps a progress display below the log", () => {
  assert.deepEqual(show(["\r10 %", "log:a", "\r20 %", "log:b", "\r30 %"]), ["log:a", "log:b", "30 %"]);
  assert.deepEqual(show(["10 %\r", "log:a", "20 %\r", "log:b"]), ["log:a", "log:b", "20 %"]);
  assert.deepEqual(show(["\x1b[2K\x1b[1G10 %", "log:a", "\x1b[2K\x1b[1G5 %", "log:b"]), [
    "log:a",
    "log:b",
    "5 %",
  ]);
  assert.deepEqual(show(["\x1b[32m10 %\x1b[0m", "log:a"]), ["log:a", "10 %"]);
});

test("OpenLine keeps a question, written in pieces, until the line ends", () => {
  assert.deepEqual(show(["first\nPass", "word: ", "log:a", "log:b"]), [
    "first",
    "log:a",
    "log:b",
    "Password:",
  ]);
  assert.deepEqual(show(["half", "log:a", " done\n", "log:b"]), ["log:a", "half done", "log:b"]);
});

test("OpenLine clears all rows of a line that the terminal has wrapped", () => {
  for (const length of [9, 10, 11, 20, 25]) {
    const line = "x".repeat(length);
    const rows = line.match(/.{1,10}/g) as string[];
    assert.deepEqual(
      show(["top\n", line, "log:a", "log:b"], 10),
      ["top", "log:a", "log:b", ...rows],
      `${length}`,
    );
  }
});

test("OpenLine changes nothing if no line is open, or if it cannot know", () => {
  const line = new OpenLine();
  assert.equal(line.above("a\n", 80), "a\n");
  line.note("one\ntwo\x1b[1A");
  assert.equal(line.above("a\n", 80), "a\n");
  line.note("\n");
  line.note("x".repeat(100_000));
  assert.ok(line.above("a\n", undefined).length < 5000, "it is bounded");
});

/** What a terminal of 200 columns shows of a program, with the names of contexts left out. */
async function shownBy(name: string, ...args: string[]): Promise<{ shown: string[]; written: string }> {
  const program = join(repoRoot, "tests/fixtures/programs", name);
  const line = [process.execPath, program, ...args].map(quoteForSh).join(" ");
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const script = spawn("script", ["-qefc", `stty cols 200; ${line}`, "/dev/null"], {
    env: { ...env, SHELL: "/bin/sh" },
    cwd: repoRoot,
  });
  let written = "";
  script.stdout.setEncoding("utf8").on("data", (text: string) => {
    written += text;
  });
  await once(script, "close");
  const shown = screenOf(written, 200).map((each) => each.replace(/^\S+ I mitogen\.ctx\.local\.\d+: /, ""));
  return { shown, written };
}

test("logToFile leaves a progress display on the terminal unchanged", async () => {
  const { shown, written } = await shownBy("logs-beside-progress.mjs");
  assert.deepEqual(shown, ["stdout: step 1", "stdout: step 2", "stdout: step 3", "3 of 3"], written);
});

test("logToFile keeps displays of several lines below the log", async () => {
  const { shown, written } = await shownBy("logs-beside-displays.mjs", "display");
  const expected = ["stdout: step 1", "stdout: step 2", "a: 3 of 3", "b: 3 of 3", "stdout: step 3"];
  assert.deepEqual(shown.filter(Boolean), expected, written);
});

test("logToFile writes whole lines beside a tool of runSsh() that has the terminal", async () => {
  const { shown, written } = await shownBy("logs-beside-displays.mjs", "tool");
  for (const line of ["stdout: before", "tool 2", "exit 3", "stdout: after"]) {
    assert.ok(shown.includes(line), `${line} in ${JSON.stringify(written)}`);
  }
});
