import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { documents } from "../support/documents.ts";
import { repoRoot } from "../support/lab.ts";

test("links in the documents lead to files and headings that exist", () => {
  for (const file of documents) {
    for (const [, target = ""] of readFileSync(file, "utf8").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (!/^[a-z]+:/.test(target)) check(target, file, dirname(file));
    }
  }
});

test("references to the documents in the sources lead to headings that exist", () => {
  for (const path of readdirSync(join(repoRoot, "src"), { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(".ts")) continue;
    const text = readFileSync(join(repoRoot, "src", path), "utf8");
    for (const [target] of text.matchAll(/docs\/[\w-]+\.md(#[\w-]+)?/g)) check(target, path, repoRoot);
  }
});

function check(target: string, from: string, base: string): void {
  const [path, anchor] = target.split("#");
  const file = path === "" ? from : join(base, path as string);
  const where = `${relative(repoRoot, from)} → ${target}`;
  assert.ok(existsSync(file), `${where}: no such file`);
  if (anchor === undefined) return;
  const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, text = ""]) =>
    text
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .replace(/\s/g, "-"),
  );
  assert.ok(headings.includes(anchor), `${where}: no such heading`);
}
