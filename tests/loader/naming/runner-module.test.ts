import assert from "node:assert/strict";
import { test } from "node:test";
import { exportedAt, readRunnerModule } from "../../../src/loader/naming/runner-module.ts";

/** The place, as V8 reports it, of the function that follows the mark. */
function originAt(source: string, mark: string) {
  const lines = source.slice(0, source.indexOf(mark) + mark.length).split("\n");
  return {
    ...{ scriptId: "1", isBound: false, scopes: [] },
    line: lines.length - 1,
    column: (lines.at(-1) as string).length,
  };
}

function pathAt(source: string, mark: string, byLocal?: Record<string, string>): string[] | undefined {
  const module = readRunnerModule(source);
  assert.ok(module);
  const exported = byLocal && { byLocal: new Map(Object.entries(byLocal)), hasUnnamedDefault: true };
  return exportedAt(module, () => undefined, originAt(source, mark), exported, false);
}

const COMMONJS = `
exports.inc = (n) => n + 1;
function add(a, b) { return a + b; }
function outer() { function nested() {} return nested; }
const hidden = () => 1;
let changed = () => 1;
changed = hidden;
class Tools { static half(n) { return n / 2; } whole(n) { return n; } }
module.exports = { sum: add, Tools, changed, twice: (n) => 2 * n, outer };
`;

test("exportedAt names exports of CommonJS by the place of the function", () => {
  assert.deepEqual(pathAt(COMMONJS, "exports.inc = "), ["inc"]);
  assert.deepEqual(pathAt(COMMONJS, "function add"), ["sum"]);
  assert.deepEqual(pathAt(COMMONJS, "twice: "), ["twice"]);
  assert.deepEqual(pathAt(COMMONJS, "static half"), ["Tools", "half"]);
});

test("exportedAt names no function that is not exported, or that may have been replaced", () => {
  for (const mark of ["function nested", "const hidden = ", "let changed = ", "} whole"]) {
    assert.equal(pathAt(COMMONJS, mark), undefined, mark);
  }
});

test("exportedAt uses the exports of the file if it is an ES module", () => {
  const source = `var _default = () => 1;\nexports.default = _default;\nconst inc = exports.other = (n) => n;`;
  assert.deepEqual(pathAt(source, "_default = ", {}), ["default"]);
  assert.deepEqual(pathAt(source, "exports.other = ", { inc: "plusOne" }), ["other"]);
  const vitest = `'use strict';async (__vite_ssr_exports__)=>{{function add() {}\nconst two = () => 2;\n}}`;
  assert.deepEqual(pathAt(vitest, "function add", { add: "sum" }), ["sum"]);
  assert.equal(pathAt(vitest, "two = ", { add: "sum" }), undefined);
});

test("readRunnerModule finds the names of a module in Vitest's wrapper, and reads no ES module", () => {
  assert.equal(readRunnerModule("import a from 'a';"), undefined);
  const { names, showsExports } = readRunnerModule("async (__vite_ssr_exports__)=>{{const a = 1;}}") ?? {};
  assert.deepEqual([...(names ?? [])], ["__vite_ssr_exports__", "a"]);
  assert.equal(showsExports, true);
  assert.equal(readRunnerModule("const a = 1;")?.showsExports, false);
});
