import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ERRORS } from "../../src/errors.ts";
import { repoRoot } from "../support/lab.ts";

const page = readFileSync(join(repoRoot, "docs/errors.md"), "utf8");
const codesIn = (text: string): Set<string> => new Set(text.match(/\bERR_[A-Z_]+\b/g));

test("docs/errors.md lists every code of the sources, and no other", () => {
  const sources = readdirSync(join(repoRoot, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(?:ts|cjs)$/.test(path) && !path.endsWith(".generated.ts"))
    .map((path) => readFileSync(join(repoRoot, "src", path), "utf8"));
  assert.deepEqual([...codesIn(page)].sort(), [...codesIn(sources.join("\n"))].sort());
});

test("docs/errors.md gives each class its code", () => {
  for (const [name, type] of Object.entries(ERRORS)) {
    const error = new (type as new (message: string) => Error & { code: string })("x");
    assert.equal(error.name, name);
    assert.ok(page.includes(`| \`${error.code}\` | ${name} |`), `${name} with ${error.code}`);
  }
});

test("docs/errors.md says for every code what to do", () => {
  // The tables have the cure in their last column. Those of Node's own codes, and of misuse, have it in the
  // description of the case.
  const rows = page.split("\n").filter((line) => /^\| `ERR_/.test(line));
  const cured = rows.filter((row) => row.split(" | ").length > 2);
  assert.ok(cured.length > 30, String(cured.length));
  for (const row of cured) {
    const cells = row.replace(/^\| | \|$/g, "").split(" | ");
    assert.ok((cells[cells.length - 1] ?? "").trim().length > 3, row);
  }
});
