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
}

const layers: Layers = await import(pathToFileURL(join(repoRoot, "scripts/layers.mjs")).href);

test("src/ imports only downwards: src/layers.json", () => {
  assert.ok(layers.sources().flatMap((file) => layers.importsOf(file)).length > 100, "imports were found");
  assert.deepEqual(layers.objections(), []);
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
 * await import("./f.ts");
`;
  const found = layers.importsOf("wire/x.ts", text).map(({ target, specifier }) => target ?? specifier);
  assert.deepEqual(found, ["errors.ts", "wire/b.ts", "wire/c.ts", "node:fs", "wire/e.ts"]);
});

test("objection tells an upward import from a downward one", () => {
  const cases: [string, string, boolean][] = [
    ["wire/frame.ts", "../core/link.ts", false],
    ["wire/frame.ts", "../errors.ts", true],
    ["core/link.ts", "../wire/frame.ts", true],
    ["core/link.ts", "../connection/router.ts", false],
    ["remote/main.ts", "../loader/importer.ts", true],
    ["errors.ts", "./wire/frame.ts", false],
    ["nowhere/main.ts", "../core/link.ts", false],
    ["loader/compile.ts", "esbuild", true],
    ["core/link.ts", "esbuild", false],
    ["core/link.ts", "node:fs", true],
  ];
  for (const [file, specifier, isAllowed] of cases) {
    const [found] = layers.importsOf(file, `import "${specifier}";`);
    assert.equal(layers.objection(found as Import) === undefined, isAllowed, `${file} → ${specifier}`);
  }
});
