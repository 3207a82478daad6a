/** What src/layers.json says of imports is so, and `tests/` mirrors `src/`. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { repoRoot } from "./support/lab.ts";

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly target: string | undefined;
}

interface Layers {
  sources(): string[];
  importsOf(file: string, text?: string): Import[];
  objection(found: Import): string | undefined;
  objections(): string[];
  circles(): string[][];
  crowded(): [room: string, files: number][];
}

const layers: Layers = await import(pathToFileURL(join(repoRoot, "scripts/layers.mjs")).href);

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

test("src/ imports only downwards: src/layers.json", () => {
  assert.ok(layers.sources().flatMap((file) => layers.importsOf(file)).length > 100, "imports were found");
  assert.deepEqual(layers.objections(), []);
});

test("src/ has no circle of imports, and no folder with too many files", () => {
  assert.deepEqual(layers.circles(), []);
  assert.deepEqual(layers.crowded(), []);
});

test("src/ imports name the file with its extension", () => {
  const vague = layers
    .sources()
    .flatMap((file) => layers.importsOf(file))
    .filter(({ specifier }) => specifier.startsWith(".") && !specifier.endsWith(".ts"));
  assert.deepEqual(vague, []);
});

test("importsOf finds imports of every form, and none in comments", () => {
  const text = `import { a } from "../errors.ts";
import type { B } from "./b.ts";
export {
  c,
  type D,
} from "./c.ts";
export * from "node:fs";
type E = typeof import("./e.ts");
declare module "./g.ts" {}
 * await import("./f.ts");
`;
  const found = layers.importsOf("wire/x.ts", text).map(({ target, specifier }) => target ?? specifier);
  assert.deepEqual(found, ["errors.ts", "wire/b.ts", "wire/c.ts", "node:fs", "wire/e.ts", "wire/g.ts"]);
});

test("objection tells an upward import from a downward one", () => {
  const cases: [string, string, boolean][] = [
    ["wire/frame.ts", "../core/context.ts", false],
    ["wire/frame.ts", "../errors.ts", true],
    ["core/context.ts", "../wire/frame.ts", true],
    ["core/context.ts", "../connection/router.ts", false],
    ["remote/main.ts", "../loader/evaluate/importer.ts", true],
    ["errors.ts", "./wire/frame.ts", false],
    ["nowhere/main.ts", "../core/context.ts", false],
    ["loader/compile/compile.ts", "esbuild", true],
    ["core/context.ts", "esbuild", false],
    ["core/context.ts", "node:fs", true],
  ];
  for (const [file, specifier, isAllowed] of cases) {
    const [found] = layers.importsOf(file, `import "${specifier}";`);
    assert.equal(layers.objection(found as Import) === undefined, isAllowed, `${file} → ${specifier}`);
  }
});

test("each file of tests/ is named for what it tests in src/: x.test.ts or x-aspect.test.ts", () => {
  const tests = readdirSync(join(repoRoot, "tests"), { recursive: true })
    .map((path) => String(path).replaceAll("\\", "/"))
    .filter((path) => path.endsWith(TEST))
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
