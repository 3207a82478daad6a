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
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".generated.ts"))
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
