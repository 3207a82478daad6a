import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "acorn";
import { Compiler } from "../../../src/loader/compile/compile.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const at = temporaryTree({
  "package.json": "{}",
  "esm/package.json": `{ "type": "module" }`,
  "cjs/package.json": `{ "type": "commonjs" }`,
  "esm/a.js": "1",
  "cjs/a.js": "1",
  "a.mjs": "1",
  "a.cjs": "1",
  "imports.js": `import "node:fs";`,
  "meta.js": "import.meta.url;",
  "awaits.js": "await 1;",
  "requires.js": `require("fs"); async () => await 1;`,
  "script.js": "#!/usr/bin/env node\nasync () => await 1; return;",
  "redeclares.js": "const require = await 1;",
  "typed.ts": "export const a: number = 1;",
  "typed-requires.ts": "const fs = require('fs'); module.exports = { a: 1 as number };",
  "typed-equals.ts": "import fs = require('fs'); export = fs.constants;",
  "cjs/typed.ts": "import { a } from './b.js'; export const b: number = a;",
  "typed.cts": "export const a: number = 1;",
  "typed.mts": "const a: number = 1;",
  "hash.js": "#!/usr/bin/env node\nexports.a = 1;",
  "bom.json": "\uFEFF{}",
  "esm/old.js": "export const a = globalThis?.b ?? 1;",
  "esm/throws.js": "export const a = f?.(1)?.b;\nfunction f() {\n  throw new Error(1);\n}\n",
  "esm/new.js": "export class A { #a = 1; static { this.b = 1; } }",
  "esm/await.js": "export const a = await 1;",
  "esm/lazy.js": `const a = () => import(\n  "./data.json",\n  { with: { type: "json" } }\n);\nimport(x(import("y", { with: z })), w);`,
  "cjs/lazy.js": `return require("a"), import("./data.json", { with: { type: "json" } });`,
  "esm/data.js": `import data from "./data.json" with { type: "json" };\nexport default data;`,
  "esm/options.js": `import a from "./data.json" with { type: "json" };\nexport const b = import("./b.json", {\n  with: { type: "json" } });\nexport const c = (x, y) => import(x, y);\nimport "./plain.js";`,
  "cjs/options.js": `exports.b = () => import("./b.json", { with: { type: "json" } });`,
  "esm/equals.ts": `import fs = require("node:fs");\nexport const kind: string = typeof fs.readFileSync;`,
  "cjs/meta.ts": "export const here: string[] = [import.meta.url, import.meta.dirname];",
  "esm/broken.ts": "export const a = ;\n",
  "esm/cut.ts": "export function a( {\n",
  "decorators/tsconfig.json": `{ "extends": "./base", /* old ones */ "compilerOptions": { "target": "es2020", }, }`,
  "decorators/base.json": `{ "compilerOptions": { "experimentalDecorators": true, "jsx": "preserve", "jsxImportSource": "h" } }`,
  "decorators/old.ts": "declare const log: any; export class A { a = 1; m(@log x: number) {} }",
  "decorators/view.tsx": "export const view = <b>1</b>;",
  "standard.ts": "declare const log: any; export class A { @log m() {} }",
  "verbatim.js": "// said\n\n// before\nexport const a = 1;\n",
  "first-script.ts": [
    `import { logToFile, runWithRouter, type Router } from "mitogen";`,
    "interface Options {\n  depth: number;\n}\nenum Mode { Fast }\n",
    "export function myFirstFunction(options?: Options): never {",
    "  const depth = options?.depth ?? Mode.Fast;",
    "  throw new Error(String(depth));\n}",
    "async function main(router: Router) {\n  await router.local();\n}\n",
    "logToFile();",
    "await runWithRouter(main).then(() => process.exit());\n",
  ].join("\n"),
  "entry.js":
    "import { isMain } from 'mitogen';\n// @ts-ignore\nexport const f = (a) => a?.b;\nif (isMain(import.meta)) await f();\n",
  "entry.cts": `import { runWithRouter } from "mitogen";\nexport function f(): number { return 1; }\nvoid runWithRouter(f);\n`,
  "late.ts": `interface A {\n  a: 1;\n}\nimport { isMain } from "mitogen";\nexport const data = await fetch("x");\nif (isMain(import.meta)) f();\n`,
  "unguarded.ts": "interface A {}\nmain();\n",
  "thrower.ts":
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a module
    "interface A {\n  a: 1;\n}\nenum E { A }\n\nexport function f(): never {\n  throw new Error(`${E.A}`);\n}\n",
});

const formats: [path: string, format: string][] = [
  ["esm/a.js", "module"],
  ["cjs/a.js", "commonjs"],
  ["a.mjs", "module"],
  ["a.cjs", "commonjs"],
  ["imports.js", "module"],
  ["meta.js", "module"],
  ["awaits.js", "module"],
  ["requires.js", "commonjs"],
  ["script.js", "commonjs"],
  ["redeclares.js", "module"],
  ["typed.ts", "module"],
  ["typed-requires.ts", "commonjs"],
  ["typed-equals.ts", "commonjs"],
  ["cjs/typed.ts", "commonjs"],
  ["typed.cts", "commonjs"],
  ["typed.mts", "module"],
  ["bom.json", "json"],
];
for (const [path, format] of formats) {
  test(`Compiler takes ${path} as ${format}`, async () => {
    assert.equal((await new Compiler().compile(at(path), "22.0.0")).format, format);
  });
}

test("Compiler turns imports of TypeScript in a CommonJS package into requires", async () => {
  const { source } = await new Compiler().compile(at("cjs/typed.ts"), "22.0.0");
  assert.match(source, /require\("\.\/b\.js"\)/);
  assert.doesNotMatch(source, /^import/m);
});

test("Compiler leaves JavaScript unchanged unless the target does not know its syntax", async () => {
  const compiler = new Compiler();
  const text = "export const a = globalThis?.b ?? 1;";
  assert.equal((await compiler.compile(at("esm/old.js"), "20.0.0")).source, text);
  assert.equal((await compiler.compile(at("esm/old.js"), "16.20.0")).source, text);
  assert.doesNotMatch((await compiler.compile(at("esm/old.js"), "12.22.0")).source, /\?\.|\?\?/);
  assert.doesNotMatch((await compiler.compile(at("esm/new.js"), "12.22.0")).source, /static \{|#a/);
});

test("Compiler drops import attributes for versions of Node that do not know them", async () => {
  const compiler = new Compiler();
  assert.match((await compiler.compile(at("esm/data.js"), "20.10.0")).source, /with \{/);
  const { source } = await compiler.compile(at("esm/data.js"), "20.9.0");
  assert.equal(source, `import data from "./data.json";\nexport default data;`);
  assert.doesNotMatch((await compiler.compile(at("esm/data.js"), "16.20.0")).source, /with/);
  const lazy = await compiler.compile(at("esm/lazy.js"), "16.20.0");
  assert.equal(lazy.source, `const a = () => import(\n  "./data.json"\n\n);\nimport(x(import("y")));`);
  const commonJs = await compiler.compile(at("cjs/lazy.js"), "16.20.0");
  assert.equal(commonJs.source, `return require("a"), import("./data.json");`);
});

test("Compiler also drops the options of import(), keeps lines, and returns the types", async () => {
  const compiler = new Compiler();
  const { source, types } = await compiler.compile(at("esm/options.js"), "18.0.0");
  assert.deepEqual(source.split("\n"), [
    `import a from "./data.json";`,
    `export const b = import("./b.json"`,
    ");",
    "export const c = (x, y) => import(x);",
    `import "./plain.js";`,
  ]);
  assert.deepEqual(
    [...types],
    [
      ["./data.json", "json"],
      ["./b.json", "json"],
    ],
  );
  const old = await compiler.compile(at("cjs/options.js"), "12.22.0");
  assert.equal(old.source, `exports.b = () => import("./b.json");`);
  assert.equal(old.types.get("./b.json"), "json");
});

const dataUrls: [url: string, format: string, source: string | RegExp][] = [
  ["data:text/javascript,export default 1 + 1", "module", "export default 1 + 1"],
  ["data:text/javascript,export%20default%20%22%23%22#x", "module", `export default "#"`],
  ["data:Application/JavaScript;charset=utf-8;base64,MSsx", "module", "1+1"],
  ["data:text/javascript,export default a?.b", "module", /a == null \? void 0/],
  [`data:text/javascript,import a from "data:," with { type: "json" }`, "module", `import a from "data:,"`],
  ["data:application/json,[1]", "module", `export default JSON.parse("[1]");`],
];
for (const [url, format, source] of dataUrls) {
  test(`Compiler compiles ${url} for an old Node`, async () => {
    const compiled = await new Compiler().compile(url, "12.22.0");
    assert.equal(compiled.format, format);
    assert.match(
      compiled.source,
      typeof source === "string" ? new RegExp(`^${escapeRegExp(source)}$`) : source,
    );
  });
}

test("Compiler gives TypeScript the require or the import.meta that its compiled form lacks", async () => {
  const compiler = new Compiler();
  const equals = await compiler.compile(at("esm/equals.ts"), "22.0.0");
  assert.match(
    equals.source,
    /^import \{ createRequire as __createRequire \} from "node:module"; const require = /,
  );
  const meta = await compiler.compile(at("cjs/meta.ts"), "12.22.0");
  assert.ok(meta.source.includes(`"${at("cjs/meta.ts")}"`));
});

test("Compiler names file, line and cure when the target cannot run the code", async () => {
  await assert.rejects(new Compiler().compile(at("esm/await.js"), "12.22.0"), {
    code: "ERR_MODULE_COMPILE",
    message:
      `Cannot compile ${at("esm/await.js")}:1:18 for Node 12.22.0: Top-level await is not available in the configured ` +
      'target environment ("node12.22"): export const a = await 1;; start the context with a newer node (nodePath), ' +
      "or move this code into a module that is not sent there",
  });
});

test("Compiler names file, line and text of a syntax error", async () => {
  await assert.rejects(new Compiler().compile(at("esm/broken.ts"), "22.0.0"), {
    code: "ERR_MODULE_COMPILE",
    message: `Cannot compile ${at("esm/broken.ts")}:1:18 for Node 22.0.0: Unexpected ";": export const a = ;`,
  });
});

test("Compiler says that there is no such file, or that it is a directory", async () => {
  for (const [name, reason] of [
    ["esm/nowhere.js", "there is no such file"],
    ["esm/broken.ts/x.js", "there is no such file"],
    ["esm/", "it is a directory"],
  ] as const) {
    await assert.rejects(new Compiler().compile(at(name), "22.0.0"), {
      name: "ModuleError",
      code: "ERR_MODULE_NOT_FOUND",
      message: `Cannot send ${at(name)}: ${reason}`,
    });
  }
});

test("Compiler names the end of a file that ends too early", async () => {
  await assert.rejects(new Compiler().compile(at("esm/cut.ts"), "22.0.0"), {
    code: "ERR_MODULE_COMPILE",
    message: `Cannot compile ${at("esm/cut.ts")}:2:1 for Node 22.0.0: Expected identifier but found end of file`,
  });
});

test("Compiler follows the nearest tsconfig with what it extends", async () => {
  const compiler = new Compiler();
  const { source } = await compiler.compile(at("decorators/old.ts"), "22.0.0");
  assert.match(source, /__decorateParam\(0, log\)/);
  assert.match(source, /this\.a = 1/);
  assert.match((await compiler.compile(at("decorators/view.tsx"), "22.0.0")).source, /from "h\/jsx-runtime"/);
  assert.doesNotMatch((await compiler.compile(at("standard.ts"), "22.0.0")).source, /@log/);
});

test("Compiler ignores a tsconfig that is no object", async () => {
  for (const text of ["null", "1", "[]", "{"]) {
    const tree = temporaryTree({ "tsconfig.json": text, "a.ts": "exports.a = 1 as number;" });
    assert.match((await new Compiler().compile(tree("a.ts"), "22.0.0")).source, /exports.a = 1;/);
  }
});

test("Compiler neutralises a hashbang without moving lines, and a byte order mark", async () => {
  const compiler = new Compiler();
  assert.equal(
    (await compiler.compile(at("hash.js"), "22.0.0")).source,
    "///usr/bin/env node\nexports.a = 1;",
  );
  assert.equal((await compiler.compile(at("bom.json"), "22.0.0")).source, "{}");
});

test("Compiler compiles a module once for all targets that need the same text", async () => {
  const compiler = new Compiler();
  const first = compiler.compile(at("typed.ts"), "22.0.0");
  assert.equal(compiler.compile(at("typed.ts"), "26.1.0"), first);
  assert.notEqual(compiler.compile(at("typed.ts"), "12.22.0"), first);
  await Promise.all([first, compiler.compile(at("typed.ts"), "12.22.0")]);
});

test("Compiler.originalStack maps frames to lines of the source, and leaves other frames alone", async () => {
  const compiler = new Compiler();
  const id = at("thrower.ts");
  const { source } = await compiler.compile(id, "22.0.0");
  const lines = source.split("\n");
  const line = lines.findIndex((text) => text.includes("new Error"));
  const place = `${id}:${line + 1}:${(lines[line] ?? "").indexOf("new Error") + 1}`;
  const stack = `Error: 0\n    at f (${place})\n    at async ${place}\n    at g (file:///other.js:1:2)\n    at node:x:1:1`;
  assert.equal(compiler.originalStack(stack), stack.replaceAll(place, `${id}:7:9`));
});

test("Compiler.originalStack keeps a path with characters that a replacement would interpret", async () => {
  const tree = temporaryTree({ "a$$b/thrower.cts": "enum A { B }\nexport const f = () => new Error();" });
  const compiler = new Compiler();
  await compiler.compile(tree("a$$b/thrower.cts"), "22.0.0");
  const path = fileURLToPath(tree("a$$b/thrower.cts"));
  assert.match(
    compiler.originalStack(`Error: 0\n    at f (${path}:30:1)`),
    /\/a\$\$b\/thrower\.cts:\d+:\d+\)$/,
  );
});

test("Compiler.originalStack leaves places that do not exist alone, whatever they look like", () => {
  const places = [
    "/nowhere.cjs:1:1",
    "file:///nowhere.ts:1:1",
    "file:///%2f:1:1",
    "file://host/x:1:1",
    "/::",
    "file://",
  ];
  const stack = `Error: x\n${places.map((place) => `    at f (${place})\n`).join("")}`.repeat(300);
  assert.equal(new Compiler().originalStack(stack), stack);
});

test("Compiler.originalStack leaves JavaScript that was sent unchanged to an old Node alone", async () => {
  const compiler = new Compiler();
  const place = `${at("verbatim.js")}:4:8`;
  await compiler.compile(at("verbatim.js"), "12.22.0");
  assert.equal(compiler.originalStack(`    at ${place}`), `    at ${place}`);
});

const entries = new Compiler({ isEntry: (id) => /first-script|entry|late|unguarded/.test(id) });

for (const target of ["12.22.0", "14.0.0", "18.0.0", "22.0.0"]) {
  test(`Compiler removes the work from an entry script for Node ${target} and still finds its lines`, async () => {
    const id = at("first-script.ts");
    const { source, format } = await entries.compile(id, target);
    assert.equal(format, "module");
    assert.doesNotMatch(source, /process\.exit|logToFile\(/);
    const options = {
      ecmaVersion: "latest",
      sourceType: "module",
      allowAwaitOutsideFunction: false,
    } as const;
    parse(source, options);
    const lines = source.split("\n");
    const line = lines.findIndex((text) => text.includes("new Error"));
    const place = `${id}:${line + 1}:${(lines[line] ?? "").indexOf("new Error") + 1}`;
    assert.equal(entries.originalStack(`at f (${place})`), `at f (${id}:9:9)`);
  });
}

test("Compiler keeps everything else of an entry script in JavaScript where it is", async () => {
  const text =
    "import { isMain } from 'mitogen';\n// @ts-ignore\nexport const f = (a) => a?.b;\nif (isMain(import.meta)) ;         \n";
  assert.equal((await entries.compile(at("entry.js"), "22.0.0")).source, text);
  assert.match((await entries.compile(at("entry.js"), "12.22.0")).source, /a == null \? void 0 : a\.b/);
});

test("Compiler removes the work from an entry script in TypeScript that is CommonJS", async () => {
  const { source, format } = await entries.compile(at("entry.cts"), "12.22.0");
  assert.equal(format, "commonjs");
  assert.doesNotMatch(source, /runWithRouter\)?\(f/);
});

test("Compiler names the original line of an entry script's syntax that the target does not know", async () => {
  await assert.rejects(entries.compile(at("late.ts"), "12.22.0"), {
    code: "ERR_MODULE_COMPILE",
    message: new RegExp(`^Cannot compile ${at("late.ts")}:5:21 for Node 12.22.0: Top-level await`),
  });
});

test("Compiler refuses an entry script that would run its work again", async () => {
  const message = /importing it there would run 'main\(\);' again/;
  await assert.rejects(entries.compile(at("unguarded.ts"), "22.0.0"), { code: "ERR_MODULE_ENTRY", message });
});

test("Compiler.originalStack passes hostile text through, in linear time", async () => {
  const compiler = new Compiler();
  const id = at("thrower.ts");
  await compiler.compile(id, "22.0.0");
  const texts = [
    "file://",
    "file://:",
    `${id}:`,
    `${id}:0:0`,
    `${id}:1e3:1`,
    `${id}:-1:5`,
    `${id}:99999999999999:1`,
    ")",
  ];
  for (const text of texts) {
    for (const stack of [text, text.repeat(1_000), `${text} `.repeat(1_000), text.repeat(100_000)]) {
      const start = performance.now();
      assert.equal(compiler.originalStack(stack).length, stack.length);
      assert.ok(performance.now() - start < 500, text);
    }
  }
});

test("Compiler.originalStack maps by the text for that version of Node", async () => {
  const compiler = new Compiler();
  const id = at("esm/throws.js");
  await compiler.compile(id, "20.0.0");
  const lines = (await compiler.compile(id, "12.22.0")).source.split("\n");
  const line = lines.findIndex((text) => text.includes("new Error")) + 1;
  assert.equal(line, 4);
  const place = `at ${id}:4:9`;
  assert.equal(compiler.originalStack(place, "20.1.0"), place);
  assert.equal(compiler.originalStack(place, "12.22.9"), `at ${id}:3:9`);
  // Without a version, the text that was compiled last counts.
  assert.equal(compiler.originalStack(place), `at ${id}:3:9`);
});

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

test("Compiler does not keep an idle process running", () => {
  const program = `
    const { Compiler } = await import(${JSON.stringify(new URL("../../../src/loader/compile/compile.js", import.meta.url).href)});
    await new Compiler().compile(${JSON.stringify(at("typed.ts"))}, "22.0.0");`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
    timeout: 20_000,
  });
  assert.equal(status, 0, stderr);
});

test("Compiler.hasChanged is true if a file that was read has another text, or is gone", async () => {
  const tree = temporaryTree({
    "package.json": `{ "type": "module" }`,
    "a.js": "export const a = 1;",
    "b.js": "",
  });
  const compiler = new Compiler();
  assert.equal(await compiler.hasChanged(), false);
  await compiler.compile(tree("a.js"), process.versions.node);
  await compiler.compile(tree("b.js"), process.versions.node);
  writeFileSync(new URL(tree("a.js")), "export const a = 1;");
  assert.equal(await compiler.hasChanged(), false, "written again, as it was");
  writeFileSync(new URL(tree("a.js")), "export const a = 2;");
  assert.equal(await compiler.hasChanged(), true);
  compiler.invalidate();
  await compiler.compile(tree("b.js"), process.versions.node);
  assert.equal(await compiler.hasChanged(), false, "the changed file is not in use any more");
  rmSync(new URL(tree("b.js")));
  assert.equal(await compiler.hasChanged(), true);
});
