import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isQuick } from "./extent.ts";

const FILES = isQuick ? 200 : 2_000;

/** Makes many files of many sizes and modes, links, and names that need quotes in a shell. */
export function makeTree(root: string): void {
  for (let index = 0; index < FILES; index++) {
    const parent = join(root, `part ${index % 7}`, `it's ${index % 40}`);
    if (index < 280) mkdirSync(parent, { recursive: true });
    const path = join(parent, `file-${index}`);
    writeFileSync(path, `${index}\n`.repeat(index % 50));
    chmodSync(path, [0o644, 0o600, 0o755, 0o444][index % 4] as number);
    if (index % 100 === 0) symlinkSync(`file-${index}`, join(parent, `link-${index}`));
  }
  symlinkSync("nowhere", join(root, "dangling"));
  mkdirSync(join(root, "empty", "in empty"), { recursive: true });
  writeFileSync(
    join(root, "every byte"),
    Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256)),
  );
}

/** Like `deepEqual`, but prints only where two long lists differ. */
export function assertSame(found: string[], expected: string[]): void {
  const [isFound, isExpected] = [new Set(found), new Set(expected)];
  assert.deepEqual(
    {
      missing: expected.filter((line) => !isFound.has(line)).slice(0, 5),
      surplus: found.filter((line) => !isExpected.has(line)).slice(0, 5),
      count: found.length,
    },
    { missing: [], surplus: [], count: expected.length },
  );
}

/** For the `skip` option of a test that needs tools. Throws in CI, where nothing may be skipped. */
export function needs(...tools: string[]): string | false {
  const missing = tools.find((tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0);
  if (missing === undefined) return false;
  if (process.env["CI"] === "true") throw new Error(`There is no ${missing}: run node scripts/lab.mjs`);
  return `Needs ${missing}`;
}
