/** Some editors put a byte order mark in front of a source. Node skips it, and so do contexts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runProgram } from "../support/run-program.ts";
import { temporaryTree } from "../support/temporary-tree.ts";

const MARK = "\uFEFF";

test("sources and package.json files with a byte order mark work in contexts, also behind a hop", async () => {
  const files: Record<string, string> = {
    "package.json": '{ "type": "commonjs", "imports": { "#own": "./own.mjs" } }',
    "own.mjs": 'export const own = "own";',
    "main.mjs": `import data from "./data.json" with { type: "json" };
import { own } from "#own";
import { packed } from "packed";
import { sub } from "packed/sub";
import common from "./common.cjs";
export function describe(text) {
  return [text, data.value, own, packed, sub, common.describe(text)[0]];
}`,
    "data.json": '{ "value": "json" }',
    "common.cjs": `const { packed } = require("packed");
const data = require("./data.json");
exports.describe = (text) => [text + "!", packed, data.value];`,
    "typed.ts": `import { packed } from "packed";
export function describe(text: string): string[] { return [text as string, packed]; }`,
    "node_modules/packed/package.json":
      '{ "name": "packed", "version": "1.0.0", "type": "module", "exports": { ".": { "require": "./main.cjs", "default": "./main.js" }, "./sub": "./sub.js" } }',
    "node_modules/packed/main.js": 'export const packed = "es";',
    "node_modules/packed/main.cjs": 'exports.packed = "common";',
    "node_modules/packed/sub.js": 'export const sub = "sub";',
  };
  const marked = Object.entries(files).map(([name, text]) => [name, MARK + text]);
  const at = temporaryTree(Object.fromEntries(marked));
  const { code, stdout, stderr } = await runProgram("reads-marked-sources.mjs", {
    args: [fileURLToPath(at(""))],
  }).ended;
  assert.equal(code, 0, stderr);
  const all = JSON.stringify(["a", "json", "own", "es", "sub", "a!"]);
  assert.deepEqual(stdout.trim().split("\n"), [
    all,
    all,
    all,
    `typed.ts ${JSON.stringify(["b", "common"])}`,
    `common.cjs ${JSON.stringify(["b!", "common", "json"])}`,
    `main.mjs ${JSON.stringify(["b", "json", "own", "es", "sub", "b!"])}`,
  ]);
});
