import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Compiler } from "../../../src/loader/compile/compile.ts";
import { ModuleGraph } from "../../../src/loader/compile/graph.ts";
import { ModuleRules } from "../../../src/loader/compile/module-rules.ts";
import { RuledModules } from "../../../src/loader/compile/ruled-modules.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const NODE = "22.0.0";
const NATIVE_CURE =
  'import it only where it is installed, or mark its package as provided by the target: router.modules.provided("addon")';
const OWN_INDEX = new URL("../../../src/index.js", import.meta.url).href;
const nothing = (): boolean => false;

const at = temporaryTree({
  "package.json": `{ "type": "module", "name": "app", "imports": { "#os": "os" } }`,
  "own.ts": `import { Router } from "${OWN_INDEX}"; export { os } from "#os"; import("${OWN_INDEX}"); import "fs"; import "node:fs"; export { Router };`,
  "own.cjs": `exports.own = require("${fileURLToPath(OWN_INDEX)}"); require("mitogen"); require("fs");`,
  "top.ts": `import "./left.ts"; import { r } from "./right.js"; import os from "node:os"; import { Router } from "mitogen"; export const t = [r, os, Router];`,
  "left.ts": `import "./shared.ts"; export {};`,
  "right.ts": `export * from "./shared.ts"; export const r = 1;`,
  "shared.ts": `export const s = 1; export const later = () => import("./later.ts");`,
  "later.ts": "export const l = 1;",
  "cycle-a.js": `import "./cycle-b.js";`,
  "cycle-b.js": `import "./cycle-a.js";`,
  "missing.js": `import "./nowhere.js";`,
  "missing-deep.js": `import "./missing.js";`,
  "dynamic-missing.js": `import("./nowhere.js");`,
  "native.js": `import "addon";`,
  "optional-native.js": `import "careful";`,
  "requiring.js": `import dep from "dual"; export default dep;`,
  "key.pem": "",
  "secret.json": "{}",
  "bare-json.js": `import "./secret.json";`,
  "typed-js.js": `import "./cycle-a.js" with { type: "json" };`,
  "text.js": `import "./key.pem";`,
  "bare-data.js": `import "data:text/plain,x";`,
  "json.ts": `import data from "./secret.json"; export default data;`,
  "lazy.js": `import("./secret.json"); import("data:text/plain,x"); import("./key.pem"); import("./secret.json?typed", { with: { type: "json" } });`,
  "node_modules/addon/package.json": "{}",
  "node_modules/addon/index.js": `module.exports = require("./build/x.node");`,
  "node_modules/addon/build/x.node": "",
  "node_modules/careful/package.json": "{}",
  "node_modules/careful/index.js": `try { module.exports = require("addon"); require("nowhere"); } catch {} if (0) require("never");`,
  "node_modules/dual/package.json": `{ "main": "./lib/index.js" }`,
  "node_modules/dual/lib/package.json": "{}",
  "node_modules/dual/lib/index.js": `exports.own = 1; __exportStar(require("./more"), exports); exports.data = require("./data.json");`,
  "node_modules/dual/lib/more.js": `exports.more = 1; module.exports = { ...require("./index") };`,
  "node_modules/dual/lib/data.json": `{"a":1}`,
});

function graph(): ModuleGraph {
  return new ModuleGraph(new RuledModules(new ModuleRules(), new Compiler()));
}

async function paths(root: string, has: (id: string) => boolean = nothing): Promise<string[]> {
  return (await graph().closure(at(root), NODE, has)).map(({ id }) => id.replace(at(""), ""));
}

test("ModuleGraph.closure returns dependencies first, each once, without builtins and dynamic imports", async () => {
  assert.deepEqual(await paths("top.ts"), ["shared.ts", "left.ts", "right.ts", "top.ts"]);
});

test("ModuleGraph.closure leaves out modules that the context has, but not their imports", async () => {
  assert.deepEqual(await paths("top.ts", (id) => id === at("left.ts")), ["shared.ts", "right.ts", "top.ts"]);
});

test("ModuleGraph.closure ends on cycles", async () => {
  assert.deepEqual(await paths("cycle-a.js"), ["cycle-b.js", "cycle-a.js"]);
});

test("ModuleGraph.record maps every literal specifier to an id, even dynamic ones, but no builtins", async () => {
  const modules = graph();
  assert.deepEqual((await modules.record(at("top.ts"), NODE)).imports, {
    "./left.ts": at("left.ts"),
    "./right.js": at("right.ts"),
  });
  assert.deepEqual((await modules.record(at("shared.ts"), NODE)).imports, { "./later.ts": at("later.ts") });
});

test("ModuleGraph.record maps other specifiers of builtins and of this library to the ids a child knows", async () => {
  const modules = graph();
  const imports = { [OWN_INDEX]: "mitogen", "#os": "node:os" };
  assert.deepEqual((await modules.record(at("own.ts"), NODE)).imports, imports);
  const requires = { [fileURLToPath(OWN_INDEX)]: "mitogen" };
  assert.deepEqual((await modules.record(at("own.cjs"), NODE)).requires, requires);
  assert.deepEqual(await paths("own.ts"), ["own.ts"]);
});

test("ModuleGraph.record lists the names that CommonJS re-exports, even through a cycle", async () => {
  const record = await graph().record(at("node_modules/dual/lib/index.js"), NODE);
  assert.equal(record.format, "commonjs");
  assert.deepEqual([...record.exports].sort(), ["data", "more", "own"]);
  assert.deepEqual(record.requires, {
    "./more": at("node_modules/dual/lib/more.js"),
    "./data.json": at("node_modules/dual/lib/data.json"),
  });
});

test("ModuleGraph.closure names the importing module when a static import is missing", async () => {
  const error = {
    code: "ERR_MODULE_NOT_FOUND",
    message: `Cannot find module './nowhere.js' imported from ${at("missing.js")}`,
  };
  await assert.rejects(paths("missing.js"), error);
  await assert.rejects(paths("missing-deep.js"), error);
});

const unimportable: [path: string, code: string, message: string][] = [
  [
    "bare-json.js",
    "ERR_IMPORT_ATTRIBUTE_MISSING",
    `Cannot import './secret.json' in ${at("bare-json.js")}: Module "${at("secret.json")}" needs an import attribute of "type: json"`,
  ],
  [
    "typed-js.js",
    "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE",
    `Cannot import './cycle-a.js' in ${at("typed-js.js")}: Module "${at("cycle-a.js")}" is not of type "json"`,
  ],
  [
    "text.js",
    "ERR_UNKNOWN_FILE_EXTENSION",
    `Cannot import './key.pem' in ${at("text.js")}: Unknown file extension ".pem" for ${fileURLToPath(at("key.pem"))}`,
  ],
  [
    "bare-data.js",
    "ERR_UNKNOWN_MODULE_FORMAT",
    `Cannot import 'data:text/plain,x' in ${at("bare-data.js")}: Unknown module format: text/plain for URL data:text/plain,x`,
  ],
];
for (const [path, code, message] of unimportable) {
  test(`ModuleGraph.closure refuses with ${code}, as Node does`, async () => {
    await assert.rejects(paths(path), { code, message });
    // This is so even if the target's text has no attributes.
    await assert.rejects(graph().closure(at(path), "12.22.0", nothing), { code });
  });
}

test("ModuleGraph.closure lets TypeScript import JSON without an attribute, as tsx does", async () => {
  assert.deepEqual(await paths("json.ts"), ["secret.json", "json.ts"]);
});

test("ModuleGraph.record keeps Node's error for a specifier that Node refuses", async () => {
  const { broken } = await graph().record(at("lazy.js"), NODE);
  assert.deepEqual(
    [...(broken ?? [])].map(([key, error]) => [key, (error as { code?: string }).code]),
    [
      ["import ./secret.json", "ERR_IMPORT_ATTRIBUTE_MISSING"],
      ["import data:text/plain,x", "ERR_UNKNOWN_MODULE_FORMAT"],
      ["import ./key.pem", "ERR_UNKNOWN_FILE_EXTENSION"],
    ],
  );
});

test("ModuleGraph.closure leaves it to the child to fail at dynamic imports and requires that do not resolve", async () => {
  assert.deepEqual(await paths("dynamic-missing.js"), ["dynamic-missing.js"]);
});

test("ModuleGraph.closure refuses a native addon with the chain of imports that leads to it", async () => {
  const addon = at("node_modules/addon/build/x.node");
  await assert.rejects(paths("native.js"), {
    code: "ERR_MODULE_NATIVE",
    message: `Cannot send native addon ${addon} to another context: ${fileURLToPath(at("native.js"))} → addon/index.js → addon/build/x.node; ${NATIVE_CURE}`,
  });
});

test("ModuleGraph.closure leaves out a native addon if a try block is prepared for its absence", async () => {
  assert.deepEqual(await paths("optional-native.js"), [
    "node_modules/addon/index.js",
    "node_modules/careful/index.js",
    "optional-native.js",
  ]);
});

test("ModuleGraph.closure tries again after a failure", async () => {
  const modules = graph();
  await assert.rejects(modules.closure(at("missing.js"), NODE, nothing));
  await assert.rejects(modules.closure(at("missing.js"), NODE, nothing), { code: "ERR_MODULE_NOT_FOUND" });
});

test("ModuleGraph.closure survives a chain of imports longer than the stack is deep", () => {
  const length = 1_000;
  const files: Record<string, string> = {};
  for (let i = 0; i < length; i++) files[`m${i}.mjs`] = i + 1 < length ? `import "./m${i + 1}.mjs";` : "";
  const chain = temporaryTree(files);
  const loader = new URL("../../../src/loader/compile/", import.meta.url).href;
  const program = `
    const { Compiler } = await import("${loader}compile.js");
    const { ModuleGraph } = await import("${loader}graph.js");
    const { ModuleRules } = await import("${loader}module-rules.js");
    const { RuledModules } = await import("${loader}ruled-modules.js");
    const rules = new RuledModules(new ModuleRules(), new Compiler());
    const modules = await new ModuleGraph(rules).closure("${chain("m0.mjs")}", "${NODE}", () => false);
    let depth = 0;
    const recurse = () => { depth++; recurse(); };
    try { recurse(); } catch {}
    console.log(modules.length, depth < modules.length);`;
  const args = ["--stack-size=80", "--input-type=module", "-e", program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(stdout.trim(), `${length} true`, stderr);
});
