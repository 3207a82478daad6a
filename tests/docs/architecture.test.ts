import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { repoRoot } from "../support/lab.ts";

interface Layers {
  listingProblems(): string[];
}

test("docs/architecture.md has the tables of src/layers.json, which lists every source file and nothing else", async () => {
  const layers: Layers = await import(pathToFileURL(join(repoRoot, "scripts/layers.mjs")).href);
  assert.deepEqual(layers.listingProblems(), []);
});
