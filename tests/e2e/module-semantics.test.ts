import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { Router, ref } from "../../src/index.ts";
import { targetsOf } from "../support/extent.ts";
import { nodes, repoRoot, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const FOLDER = join(repoRoot, "tests/fixtures/semantics");

/** The cases that need more than the oldest Node, and why. */
const SINCE: Readonly<Record<string, readonly [major: number, reason: string]>> = {
  "top-level-await": [16, "top-level await"],
  "import-meta": [22, "import.meta.filename and a synchronous import.meta.resolve"],
  "require-esm": [20, "require() of ES modules"],
  "syntax-errors": [
    20,
    "JavaScript that is sent unchanged: the compiler itself would refuse it when it lowers it",
  ],
  json: [20, "import attributes"],
  builtins: [14, "fs/promises and node: in require"],
  require: [14, "optional chaining and node: in require"],
  "create-require": [14, "node: in require"],
};

const cases = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => {
    const main = readdirSync(join(FOLDER, name)).find((file) => /^main\.[cm]js$/.test(file));
    return { name, entry: `${name}/${main}`, since: SINCE[name]?.[0] ?? 12 };
  });

/** Compares with a plain run on the same Node as the context's: both must print the same. */
for (const major of targetsOf([12, 14, 16, 18, 20, 22, 24, 26])) {
  describe(`on Node ${major} a context evaluates as Node does`, { skip: skipReason() }, async () => {
    const node = nodes[major] ?? "";
    const here = cases.filter(({ since }) => since <= major);
    const plain = runPlainly(
      node,
      here.map(({ entry }) => entry),
    );
    for (const { name, entry } of here) {
      test(name, async () => {
        await using router = new Router();
        const context = await router.local({ nodePath: node });
        const run = ref<() => unknown>(pathToFileURL(join(FOLDER, entry)), "run");
        const printed = inspect(await context.call(run), { depth: 6, breakLength: 120 });
        assert.equal(printed, plain[entry]);
      });
    }
  });
}

function runPlainly(node: string, entries: readonly string[]): Record<string, string> {
  if (node === "") return {};
  const program = join(FOLDER, "run-plainly.mjs");
  const { stdout, stderr } = spawnSync(node, [program, JSON.stringify(entries)], { encoding: "utf8" });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as Record<string, string>;
}
