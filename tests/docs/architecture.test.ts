import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { test } from "node:test";
import { repoRoot } from "../support/lab.ts";

test("docs/architecture.md lists every source file once, and nothing else", () => {
  const page = readFileSync(join(repoRoot, "docs/architecture.md"), "utf8");
  const listed = [...page.matchAll(/^\| `(src\/[^`]+)` \| \S.* \|$/gm)].map(([, path]) => path as string);
  const files = readdirSync(join(repoRoot, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".generated.ts"))
    .map((path) => `src/${path.split(sep).join("/")}`);
  assert.deepEqual(
    {
      missing: files.filter((path) => !listed.includes(path)),
      gone: listed.filter((path) => !files.includes(path)),
      twice: listed.filter((path, index) => listed.indexOf(path) !== index),
    },
    { missing: [], gone: [], twice: [] },
  );
});
