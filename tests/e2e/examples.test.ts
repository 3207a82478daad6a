/** Runs every program of examples/ as a reader would, with local contexts. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { takesLong } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";
import { runTypeScript } from "../support/run-typescript.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

interface Example {
  readonly args?: readonly string[];
  /** Lines that stdout has, in this order. */
  readonly stdout: readonly (string | RegExp)[];
  readonly stderr?: RegExp;
  /** It is also in other tests, or starts many contexts, as other tests do. */
  readonly isLong?: boolean;
}

const jobLines = (job: string, number: number): string[] => [
  ...[25, 50, 75, 100].map((percent) => `${job}: ${percent}%`),
  `${job} is done, says context ${number}`,
];
const TOP_TABLE = [
  /^CONTEXT +HOST +LOAD/,
  ...Array<RegExp>(4).fill(/^local\.\d+ +\S+ +\d+\.\d\d +\d+ +\d+ +\d+M$/),
];

const EXAMPLES: Record<string, Example> = {
  "first-script": {
    isLong: true,
    stdout: ["123"],
    stderr: /^\d\d:\d\d:\d\d I mitogen\.ctx\.local\.\d+: stdout: Hello from remote context!$/m,
  },
  "the-basics": {
    stdout: [
      /^child: local\.\d+$/,
      "same host: true",
      "cores there: true",
      `another process: true, Node ${process.version}`,
      "error: ENOENT",
      "this file: Blob(… bytes)",
      "same bytes: true",
      "there and back: true",
      "three processes: true",
      "all ended",
    ],
  },
  "ping-pong": {
    isLong: true,
    stdout: [
      "ping: 1 3 5 7 9 11 13 15 17 19 21 23 25 27 29",
      "pong: 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30",
    ],
  },
  "select-loop": { isLong: true, stdout: [...jobLines("index", 3), "it was quiet at times"] },
  "install-app": {
    stdout: [
      /^local\.\d+: 2 files changed, it says "Hello from \w+"$/,
      /^local\.\d+: 0 files changed, it says "Hello from \w+"$/,
    ],
    stderr: /stdout: 2 files changed in /,
  },
  top: { isLong: true, args: ["--refreshes", "2"], stdout: [...TOP_TABLE, ...TOP_TABLE] },
  service: {
    isLong: true,
    stdout: [
      "backup with ticket 1",
      "restart with ticket 2",
      /^1: backup, for local\.\d+$/,
      /^2: restart, for local\.\d+\.local\.\d+$/,
    ],
  },
  nested: {
    isLong: true,
    stdout: [
      "depths: 1 2 3 4 5 6 7 8 9 10",
      /^ping through 10 links: [\d.]+ ms$/,
      "the first ended, and the last one with it",
    ],
  },
  "bastion-chain": {
    stdout: [
      "it would connect:",
      "  1. ssh to bastion.example.com as ada",
      "  2. ssh to docker1 as deploy, from 1",
      "  3. sudo to root, from 2",
      "  4. docker, container web, from 3",
    ],
  },
  "log-tail": { isLong: true, stdout: ["red: first", "red: second", "red: third"] },
  demo: {
    isLong: true,
    stdout: [/4\. One hangs in an endless loop/, /^put down in \d+ ms/, /Done: 3 contexts/],
  },
};

it("every example is run by a test", () => {
  const names = readdirSync(join(repoRoot, "examples"))
    .filter((name) => name !== "README.md")
    .map((name) => name.replace(/\.ts$/, ""));
  const index = readFileSync(join(repoRoot, "examples/README.md"), "utf8");
  for (const name of names)
    assert.ok(index.includes(`[${name}](${name}`), `examples/README.md has no ${name}`);
  assert.deepEqual(names.sort(), Object.keys(EXAMPLES).sort());
});

for (const [name, { args = [], stdout, stderr, isLong = false }] of Object.entries(EXAMPLES)) {
  it(`examples/${name} prints what it is said to`, {
    timeout: 120_000,
    skip: isLong && takesLong,
  }, async () => {
    const folder = join(repoRoot, "examples");
    const ended =
      name === "demo"
        ? await runProgram(join(folder, "demo/main.ts"), { nodeArgs: ["--import", "tsx"] }).ended
        : await runTypeScript(join(folder, `${name}.ts`), args);
    assert.equal(ended.code, 0, ended.stderr);
    assertLines(ended.stdout.split("\n"), stdout);
    if (stderr === undefined && name !== "demo") assert.equal(ended.stderr, "");
    else if (stderr !== undefined) assert.match(ended.stderr, stderr);
  });
}

/** Fails unless `lines` has all that is expected, in that order; others may stand between. */
function assertLines(lines: readonly string[], expected: readonly (string | RegExp)[]): void {
  let from = 0;
  for (const each of expected) {
    const at = lines.findIndex(
      (line, index) => index >= from && (typeof each === "string" ? line === each : each.test(line)),
    );
    assert.ok(at >= 0, `Expected ${each} behind line ${from} of:\n${lines.join("\n")}`);
    from = at + 1;
  }
}
