import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Compiler } from "../../../src/loader/compile/compile.ts";
import { ModuleGraph } from "../../../src/loader/compile/graph.ts";
import { ModuleRules } from "../../../src/loader/compile/module-rules.ts";
import { RuledModules } from "../../../src/loader/compile/ruled-modules.ts";
import type { ModulePattern } from "../../../src/loader/resolve/module-pattern.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const NODE = "22.0.0";

const at = temporaryTree({
  "package.json": `{ "type": "module", "name": "app" }`,
  "top.ts": `import { helper } from "./helper.ts"; import "left-pad"; export const t: number = helper;`,
  "helper.ts": "export const helper = 1;",
  "careful.cjs": `try { require("left-pad"); } catch {} exports.c = 1;`,
  "lazy.js": `export const pad = () => import("left-pad");`,
  "virtual-user.js": `import config from "./config.json" with { type: "json" }; export default config;`,
  "image.js": `import sharp from "sharp/lib"; export { sharp }; export const other = () => import("@img/more");`,
  "image.cjs": `exports.sharp = require("sharp"); exports.path = require("./helper.ts");`,
  "linked.ts": "→ ./helper.ts",
  "node_modules/left-pad/package.json": "{}",
  "node_modules/left-pad/index.js": "module.exports = 1;",
  "node_modules/sharp/package.json": "{}",
  "node_modules/sharp/index.js": `require("./x.node")`,
  "node_modules/sharp/x.node": "",
});

function rules(): ModuleRules {
  return new ModuleRules();
}

async function records(root: string, by: ModuleRules) {
  const found = await new ModuleGraph(new RuledModules(by, new Compiler())).closure(
    at(root),
    NODE,
    () => false,
  );
  return new Map(found.map((record) => [record.id.replace(at(""), ""), record]));
}

test("ModuleRules.deny makes a graph fail with the chain that leads to the module", async () => {
  const denied = rules();
  denied.deny(["left-pad"]);
  const pad = at("node_modules/left-pad/index.js");
  await assert.rejects(records("top.ts", denied), (error: Error & { code: string; chain: string[] }) => {
    assert.equal(error.code, "ERR_MODULE_DENIED");
    assert.deepEqual(error.chain, [at("top.ts"), pad]);
    const message = `Cannot send module ${pad} to another context: the program's rule deny("left-pad") forbids it: `;
    assert.ok(error.message.startsWith(message), error.message);
    assert.match(error.message, /top\.ts → left-pad\/index\.js$/);
    return true;
  });
  const own = rules();
  own.deny([at("top.ts")]);
  await assert.rejects(records("top.ts", own), { code: "ERR_MODULE_DENIED" });
});

test("ModuleRules.deny leaves out a module if a try block or an import() is prepared for its absence", async () => {
  const denied = rules();
  denied.deny(["left-pad"]);
  assert.deepEqual([...(await records("careful.cjs", denied)).keys()], ["careful.cjs"]);
  assert.deepEqual([...(await records("lazy.js", denied)).keys()], ["lazy.js"]);
});

test("ModuleRules.override replaces a file's text, compiled as the file would be", async () => {
  const by = rules();
  by.override(at("helper.ts"), `import "./more.ts"; export const helper: number = 2;`);
  by.override(at("more.ts"), "export enum More { one = 1 }");
  const found = await records("top.ts", by);
  assert.deepEqual([...found.keys()].sort(), [
    "helper.ts",
    "more.ts",
    "node_modules/left-pad/index.js",
    "top.ts",
  ]);
  assert.match(found.get("helper.ts")?.source ?? "", /helper = 2/);
  assert.match(found.get("more.ts")?.source ?? "", /var More/);
});

test("ModuleRules.override takes a format, which then replaces that of the extension", async () => {
  const by = rules();
  by.override(at("helper.ts"), { source: "exports.helper = 3;", format: "commonjs" });
  by.override(at("config.json"), { source: "export default 1;", format: "module" });
  const helper = (await records("top.ts", by)).get("helper.ts");
  assert.deepEqual(
    [helper?.format, helper?.source, helper?.exports],
    ["commonjs", "exports.helper = 3;", ["helper"]],
  );
  const config = (await records("virtual-user.js", by)).get("config.json");
  assert.deepEqual(
    [config?.format, config?.source, config?.id],
    ["module", "export default 1;", at("config.json")],
  );
});

test("ModuleRules.modify passes texts through functions, in order, before they are compiled", async () => {
  const by = rules();
  const seen: string[] = [];
  by.modify(/\.ts$/, (source, id) => {
    seen.push(id.replace(at(""), ""));
    return `${source}\nexport const first: number = 1;`;
  });
  by.modify(at("helper.ts"), async (source) => source.replace("first", "second"));
  const found = await records("top.ts", by);
  assert.deepEqual(seen.sort(), ["helper.ts", "top.ts"]);
  assert.match(found.get("top.ts")?.source ?? "", /const first = 1/);
  assert.match(found.get("helper.ts")?.source ?? "", /const second = 1/);
  assert.equal(found.get("node_modules/left-pad/index.js")?.source, "module.exports = 1;");
});

test("ModuleRules.modify also changes texts of override, and may add imports", async () => {
  const by = rules();
  by.override(at("top.ts"), { source: "export const t = 1;", format: "module" });
  by.modify(at("top.ts"), (source) => `import "./helper.ts"; ${source}`);
  assert.deepEqual([...(await records("top.ts", by)).keys()], ["helper.ts", "top.ts"]);
});

test("ModuleRules.modify: a modifier that fails makes the call fail, and is named", async () => {
  for (const [modifier, reason] of [
    [() => 1 as never, "it returned number, not a string"],
    [() => assert.fail("not today"), "not today"],
  ] as const) {
    const by = rules();
    by.modify("left-pad", modifier);
    await assert.rejects(records("top.ts", by), {
      code: "ERR_MODULE_COMPILE",
      message: `Cannot compile ${at("node_modules/left-pad/index.js")}: its modifier, modify("left-pad"), failed: ${reason}`,
    });
  }
});

test("ModuleRules.modify: a file that is missing or broken is read again, until it compiles", async () => {
  const tree = temporaryTree({ "package.json": `{ "type": "module" }` });
  const by = rules();
  by.modify(/\.ts$/, (source) => source);
  const compiler = new Compiler();
  const modules = new RuledModules(by, compiler);
  const write = (text: string): void => writeFileSync(new URL(tree("late.ts")), text);
  await assert.rejects(modules.compile(tree("late.ts"), NODE), { code: "ERR_MODULE_NOT_FOUND" });
  write("export (");
  await assert.rejects(modules.compile(tree("late.ts"), NODE), { code: "ERR_MODULE_COMPILE" });
  write("export const a = 1;");
  assert.match((await modules.compile(tree("late.ts"), NODE)).source, /a = 1/);
  assert.equal(await compiler.hasChanged(), false);
  await compiler.compile(tree("late.ts"), NODE);
  write("export const a = 2;");
  by.modify(/late/, () => assert.fail());
  await assert.rejects(new RuledModules(by, compiler).compile(tree("late.ts"), NODE), {
    code: "ERR_MODULE_COMPILE",
  });
  assert.equal(await compiler.read(tree("late.ts")), "export const a = 1;", "the text in use stays");
});

test("ModuleRules.provide leaves a package to the target: the maps hold its name, and no file of it is read", async () => {
  const by = rules();
  by.provide(["sharp", "@img/*"]);
  const modules = await records("image.js", by);
  assert.deepEqual([...modules.keys()], ["image.js"]);
  assert.deepEqual(modules.get("image.js")?.imports, {
    "sharp/lib": "provided:sharp/lib",
    "@img/more": "provided:@img/more",
  });
  const { requires } = (await records("image.cjs", by)).get("image.cjs") ?? {};
  assert.deepEqual(requires, { sharp: "provided:sharp", "./helper.ts": at("helper.ts") });
});

test("ModuleRules apply to the file that a link leads to, as ids do", () => {
  const by = rules();
  by.deny([at("linked.ts")]);
  assert.equal(by.denial(at("helper.ts")), `deny(${JSON.stringify(at("helper.ts"))})`);
});

test("ModuleRules refuse an invalid pattern, with the cure", () => {
  const cases: [ModulePattern, RegExp][] = [
    [
      "./helper.ts",
      /Cannot allow '\.\/helper\.ts': .*; for a path use new URL\("\.\/helper\.ts", import\.meta\.url\)$/,
    ],
    ["/srv/app/", /for a path use new URL/],
    ["", /package's name/],
    ["node:fs", /package's name/],
    ["fs", /package's name/],
    ["left-pad/index.js", /package's name/],
    ["https://example.com/x.js", /package's name/],
    [new URL("https://example.com/x.js"), /package's name/],
    [7 as never, /Cannot allow 7/],
  ];
  for (const [pattern, message] of cases) {
    assert.throws(() => rules().allow([pattern]), { name: "TypeError", message });
  }
  assert.throws(() => rules().provide([at("helper.ts")]), { name: "TypeError", message: /by their names/ });
});

test("ModuleRules that refuse one pattern of several add no rule for the others", () => {
  const by = rules();
  assert.throws(() => by.deny(["left-pad", "./x"]));
  assert.equal(by.denial(at("node_modules/left-pad/index.js")), undefined);
});

test("Compiler.invalidate and ModuleGraph.invalidate: a changed module with other imports is read again", async () => {
  const { writeFileSync } = await import("node:fs");
  const tree = temporaryTree({
    "package.json": `{ "type": "module" }`,
    "a.js": `export * from "./b.js";`,
    "b.js": "export const b = 1;",
    "c.js": "export const c = 1;",
  });
  const compiler = new Compiler();
  const graph = new ModuleGraph(new RuledModules(new ModuleRules(), compiler));
  const read = async () => {
    const found = await graph.closure(tree("a.js"), NODE, () => false);
    return found.map(({ id, source }) => [id.slice(-4), source]);
  };
  const before = await read();
  writeFileSync(new URL(tree("a.js")), `export * from "./c.js";`);
  assert.deepEqual(await read(), before);
  compiler.invalidate(tree("b.js"));
  graph.invalidate(tree("b.js"));
  assert.deepEqual(await read(), before);
  for (const id of [tree("a.js"), undefined]) {
    compiler.invalidate(id);
    graph.invalidate(id);
    assert.deepEqual(await read(), [
      ["c.js", "export const c = 1;"],
      ["a.js", `export * from "./c.js";`],
    ]);
  }
});
