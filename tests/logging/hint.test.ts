import assert from "node:assert/strict";
import { test } from "node:test";
import { isQuick } from "../support/extent.ts";
import { runProgram } from "../support/run-program.ts";

const ENDING = "because nothing listens: call logToFile() or onLog(); MITOGEN_HINTS=off hides this hint\n";

async function said(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await runProgram("listens-to-nothing.mjs", { args, env }).ended;
  assert.deepEqual([code, stdout], [0, ""], stderr);
  return stderr;
}

test("A program without a log is told once that output was dropped", async () => {
  const text = await said(["output"]);
  assert.match(text, /^mitogen: output of local\.\d+ was dropped, /);
  assert.ok(text.endsWith(ENDING));
  assert.equal(text.split("\n").length, 2, text);
});

test("A program without a log is told once that a call without a reply failed", async () => {
  const text = await said(["failure"]);
  assert.match(text, /^mitogen: an error was not shown \(.*chdir.*ENOENT.*\), because/);
  assert.ok(text.endsWith(ENDING));
  assert.equal(text.split("\n").length, 2, text);
});

test("A program without a log is told once that the context of a call without a reply was gone", async () => {
  const text = await said(["gone"]);
  assert.match(
    text,
    /^mitogen: an error was not shown \(Call of .*now.* failed: ChannelError: .*\), because/,
  );
  assert.ok(text.endsWith(ENDING));
  assert.equal(text.split("\n").length, 2, text);
});

test("A program is told nothing if it has a log, has chosen no hints, or misses nothing", async () => {
  assert.equal(await said(["output", "onLog"]), "");
  assert.equal(await said(["output"], { MITOGEN_HINTS: "off" }), "");
  if (isQuick) return;
  assert.equal(await said(["failure", "none"]), "");
  assert.equal(await said(["nothing"]), "");
});
