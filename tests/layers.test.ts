/** `tests/` mirrors `src/`: where the tests of a file are is known from its name. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { repoRoot } from "./support/lab.ts";

/** Folders of journeys, which pass many files of `src/`, and of what tests need. */
const OTHER_FOLDERS = [
  "bench",
  "chaos",
  "conformance",
  "counts",
  "docs",
  "e2e",
  "environments",
  "fixtures",
  "hostile",
  "order",
  "package",
  "soak",
  "support",
];
/** About all of `src/`. */
const OF_ALL = ["imports.test.ts"];
const TEST = ".test.ts";

/** The tests that are named for nothing in `src/`: neither for a file or folder beside them there, nor for their own folder. */
function strays(tests: readonly string[], list: (folder: string) => readonly string[]): string[] {
  return tests.filter((path) => {
    const folder = dirname(path);
    const subjects = list(folder).map((name) => name.replace(/\.[a-z]+$/, ""));
    if (subjects.length > 0) subjects.push(basename(folder));
    const title = basename(path, TEST);
    return !subjects.some((subject) => title === subject || title.startsWith(`${subject}-`));
  });
}

test("each file of tests/ is named for what it tests in src/: x.test.ts or x-aspect.test.ts", () => {
  const tests = readdirSync(join(repoRoot, "tests"), { recursive: true })
    .map((path) => String(path).replaceAll("\\", "/"))
    .filter((path) => path.endsWith(TEST) && !OF_ALL.includes(path))
    .filter((path) => !OTHER_FOLDERS.includes(path.split("/")[0] as string));
  assert.ok(tests.length > 100, "tests were found");
  const list = (folder: string): string[] => {
    const source = join(repoRoot, "src", folder);
    return existsSync(source) ? readdirSync(source) : [];
  };
  assert.deepEqual(strays(tests, list), []);
});

test("strays finds tests of other names, and of folders that src/ does not have", () => {
  const list = (folder: string): string[] => (folder === "wire" ? ["frame.ts", "cbor"] : []);
  const good = [
    "wire/frame.test.ts",
    "wire/frame-bounds.test.ts",
    "wire/cbor-fuzz.test.ts",
    "wire/wire.test.ts",
  ];
  const bad = ["wire/framed.test.ts", "wire/rfc8949.test.ts", "wires/wires.test.ts"];
  assert.deepEqual(strays([...good, ...bad], list), bad);
});
