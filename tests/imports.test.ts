import assert from "node:assert/strict";
import { join } from "node:path";
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

test("src/ imports only downwards: src/layers.json", () => {
  assert.ok(layers.sources().flatMap((file) => layers.importsOf(file)).length > 100, "imports were found");
  assert.deepEqual(layers.objections(), []);
});

test("src/ has no circle of imports, and no folder with more files than one can look through", () => {
  assert.deepEqual(layers.circles(), []);
  assert.deepEqual(layers.crowded(), []);
});

test("src/ imports name the file: nothing is resolved by guessing", () => {
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
