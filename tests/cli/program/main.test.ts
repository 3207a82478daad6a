import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { repoRoot } from "../../support/lab.ts";

/** All that is loaded with a file of dist/, without what is loaded late. */
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

test("mitogen loads a command when it is used", () => {
  const loaded = [...loadedWith("cli.js").values()].join("\n");
  assert.match(loaded, /^\/\/ src\/cli\/program\/main\.ts$/m);
  assert.doesNotMatch(loaded, /^\/\/ src\/cli\/(commands\/|open-fleet|report|doctor|tasks)/m);
  assert.doesNotMatch(loaded, /^\/\/ src\/fleet\//m);
});
