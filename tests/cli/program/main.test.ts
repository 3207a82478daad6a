import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { sampleOf } from "../../support/extent.ts";
import { repoRoot } from "../../support/lab.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { CLI, cleanEnvironment, mitogen } from "../run-cli.ts";

/** The files of dist/ that are loaded with one of them, without those that are loaded late. */
function loadedWith(file: string, seen: Map<string, string> = new Map()): Map<string, string> {
  const path = join(repoRoot, "dist", file);
  if (seen.has(file)) return seen;
  const text = readFileSync(path, "utf8");
  seen.set(file, text);
  for (const [, from, alone] of text.matchAll(
    /^(?:import|export)\b[^;]*?\bfrom "(\.[^"]+)";|^import "(\.[^"]+)";/gm,
  )) {
    const imported = from ?? alone ?? "";
    loadedWith(join(dirname(file), imported), seen);
  }
  return seen;
}

test('the command line and fleets add nothing to what import "mitogen" loads', () => {
  const loaded = [...loadedWith("index.js").values()].join("\n");
  assert.match(loaded, /^\/\/ src\/connection\/router\.ts$/m, "dist/ says which files it holds");
  assert.doesNotMatch(loaded, /^\/\/ src\/(cli|fleet)\//m);
  assert.doesNotMatch(loaded, /\bfrom "pico/);
});

test("mitogen loads a command only when it is used", () => {
  const loaded = [...loadedWith("cli.js").values()].join("\n");
  assert.match(loaded, /^\/\/ src\/cli\/program\/main\.ts$/m);
  assert.doesNotMatch(loaded, /^\/\/ src\/cli\/(commands\/|open-fleet|report|doctor|tasks)/m);
  assert.doesNotMatch(loaded, /^\/\/ src\/fleet\//m);
});

test("mitogen says that its results cannot be written to stdout, and exits with 1", () => {
  for (const words of sampleOf(2, [
    ["exec", "--on", "local:1", "--", "echo", "here"],
    ["exec", "--on", "local:1", "--json", "--", "true"],
    ["hosts", "--on", "local:1"],
    ["doctor", "--on", "local:1"],
    ["help"],
  ])) {
    const full = openSync("/dev/full", "w");
    try {
      const { status, stderr } = spawnSync(process.execPath, [CLI, ...words], {
        env: cleanEnvironment(),
        encoding: "utf8",
        stdio: ["ignore", full, "pipe"],
      });
      assert.match(stderr, /^mitogen: Cannot write to stdout: ENOSPC/m, words.join(" "));
      assert.equal(status, 1, words.join(" "));
    } finally {
      closeSync(full);
    }
  }
});

test("the output of a configuration goes to stderr, not into the JSON", async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(
    join(cwd, "mitogen.config.mjs"),
    `console.log("loading"); export default { hosts: { one: { local: {} } } };`,
  );
  const { code, stdout, stderr } = await mitogen(["hosts", "--json"], { cwd });
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).hosts[0].name, "one");
  assert.equal(stderr, "loading\n");
});
