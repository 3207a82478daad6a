import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { parse } from "acorn";
import { transformSync } from "esbuild";
import { isEntryModule, neutralizeEntryModule } from "../../../src/loader/syntax/entry-guard.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const ID = "file:///srv/app/deploy.js";
const IMPORT = `import { runWithRouter, withRouter, logToFile, onLog, isMain, Router } from "mitogen";\n`;
const REQUIRE = `const { runWithRouter, isMain, Router } = require("mitogen");\n`;

const safe: [name: string, source: string, format?: "module" | "commonjs"][] = [
  [
    "the first script",
    `${IMPORT}export function f() { doIt() }\nlogToFile();\nawait runWithRouter(async () => {});`,
  ],
  ["nothing but declarations", `export const a = 1; class B { static { go() } } function c() { while (1); }`],
  ["isMain(import.meta)", `${IMPORT}go(); if (isMain(import.meta)) { await go(); }`],
  ["isMain among other conditions", `${IMPORT}if (a && isMain(import.meta) && b) await go();`],
  ["isMain in an expression", `${IMPORT}isMain(import.meta) && go();`],
  ["import.meta.main", `if (import.meta.main) await go();`],
  ["require.main === module", `if (require.main === module) go();`, "commonjs"],
  ["module === require.main", `if (module === require.main) go();`, "commonjs"],
  ["isMain(module)", `${REQUIRE}if (isMain(module)) go();`, "commonjs"],
  ["a renamed import", `import { runWithRouter as run } from "mitogen"; await run(main);`],
  ["a namespace import", `import * as m from "mitogen"; await m.runWithRouter(main);`],
  ["a required library", `const m = require("mitogen"); m.runWithRouter(main);`, "commonjs"],
  ["destructured require", `${REQUIRE}runWithRouter(main);`, "commonjs"],
  ["compiled interop", `var import_m = require("mitogen"); (0, import_m.runWithRouter)(main);`, "commonjs"],
  [
    "what esbuild puts around CommonJS",
    `__export(x, { f: () => f }); module.exports = __toCommonJS(x); 0 && (module.exports = { f });`,
    "commonjs",
  ],
  [
    "what esbuild puts around CommonJS, minified",
    `var h=Object.defineProperty;var y=(e,t)=>{for(var o in t)h(e,o,{get:t[o],enumerable:!0})};` +
      `var C={};y(C,{f:()=>f});module.exports=x(C);var r=I(require("mitogen"));(0,r.runWithRouter)(main);`,
    "commonjs",
  ],
  [
    "CommonJS exports",
    `"use strict"; exports.f = function () {}; Object.defineProperty(exports, "__esModule", { value: true });`,
    "commonjs",
  ],
  [
    "a chained promise",
    `${IMPORT}runWithRouter(main).then((v) => print(v)).catch(console.error).finally(done);`,
  ],
  ["a voided promise", `${IMPORT}void runWithRouter(main);`],
  [
    "a kept result",
    `${IMPORT}const result = await runWithRouter(main); export const other = await runWithRouter(main);`,
  ],
  ["the exit code", `${IMPORT}process.exitCode = await runWithRouter(main);`],
  ["withRouter", `${IMPORT}const main = withRouter(async (r) => {}); await main(1);`],
  ["withRouter called at once", `${IMPORT}await withRouter(async (r) => {})();`],
  ["try around runWithRouter", `${IMPORT}try { await runWithRouter(main); } catch (e) { process.exit(1); }`],
  ["an initialiser that computes", `import fs from "fs"; const config = JSON.parse(fs.readFileSync("x"));`],
  [
    "a Router made inside a function",
    `${IMPORT}async function main() { const r = new Router(); await r.local(); }`,
  ],
];
const DECORATED = `${IMPORT}@mark export class A { @log() #a = 1; @log() static b = 2; @log() c() {} @log() accessor d = 3; }`;
for (const tsconfigRaw of [{}, { compilerOptions: { experimentalDecorators: true } }]) {
  for (const target of ["node12.22", "node20", "node26"]) {
    const isOld = "compilerOptions" in tsconfigRaw;
    const text = isOld ? DECORATED.replace("@log() #a", "#a").replace("accessor", "") : DECORATED;
    const { code } = transformSync(text, { loader: "ts", format: "esm", target, tsconfigRaw });
    safe.push([`${isOld ? "old" : "new"} decorators for ${target}`, code]);
  }
}
for (const [name, source, format = "module"] of safe) {
  test(`neutralizeEntryModule accepts ${name} and moves nothing`, () => {
    const neutral = neutralizeEntryModule(ID, source, format);
    assert.equal(neutral.length, source.length);
    for (let i = 0; i < source.length; i++) {
      const isKept = neutral[i] === source[i] || " ;0void{}[]".includes(neutral[i] ?? "");
      assert.ok(isKept && (neutral[i] === "\n") === (source[i] === "\n"), neutral);
    }
    const options = { ecmaVersion: "latest", allowAwaitOutsideFunction: false } as const;
    parse(neutral, { ...options, sourceType: format === "module" ? "module" : "script" });
  });
}

const blanked: [source: string, neutral: string][] = [
  ["logToFile();\nawait runWithRouter(main);", ";           \n;                         "],
  ["await runWithRouter(\n  main,\n); var x", ";                   \n       \n   var x"],
  [
    "await\nrunWithRouter(main).then(() => process.exit());",
    ";    \n                                               ",
  ],
  ["const x = await runWithRouter(main), y = 1;", "const x = void 0                   , y = 1;"],
  ["const x = await\n  runWithRouter(main);", "const x = void \n0                    ;"],
  ["export default await runWithRouter(main)", "export default void 0                   "],
  ["const { a } = await runWithRouter(main);", "const { a } = {}                       ;"],
  ["[process.exitCode] = await runWithRouter(main);", "[process.exitCode] = []                       ;"],
  ["const x = runWithRouter(main).then(exit);", "const x = runWithRouter(main)           ;"],
  ["const x = (runWithRouter(main)).catch(f).then(g);", "const x =  runWithRouter(main)                  ;"],
  ["const off = onLog(sink);", "const off = onLog(sink);"],
  [
    "const go = withRouter(main); const x = go(1).then(exit);",
    "const go = withRouter(main); const x = go(1)           ;",
  ],
  ["if (isMain(import.meta)) {\n  await go();\n}", "if (isMain(import.meta)) {\n             \n}"],
  ["if (isMain(import.meta)) await go(); else stay();", "if (isMain(import.meta)) ;           else stay();"],
  ["if (isMain(import.meta) && await ok()) go();", "if (isMain(import.meta) && 0         ) ;    "],
  ["if (0) logToFile();\nelse {}", "if (0) ;           \nelse {}"],
  ["isMain(import.meta) && await a() && b();", "isMain(import.meta) && 0         && 0  ;"],
  [
    "try { await runWithRouter(main) } catch (e) { await fail(e) }",
    "try { ;                         } catch (e) {               }",
  ],
  [
    "if (isMain(import.meta)) { var a = 1, [b, { c = 2 }] = d; }\nexport { a }",
    "if (isMain(import.meta)) {                                }\nexport { a }\nvar a, b, c;",
  ],
  [
    "function f() { return runWithRouter(main).then(g) }",
    "function f() { return runWithRouter(main).then(g) }",
  ],
];
for (const [source, neutral] of blanked) {
  test(`neutralizeEntryModule blanks ${JSON.stringify(source)}`, () => {
    assert.equal(neutralizeEntryModule(ID, IMPORT + source, "module"), IMPORT + neutral);
  });
}

const unsafe: [name: string, source: string, line: string, format?: "module" | "commonjs"][] = [
  ["a call", `export function f() {}\nmain();\n`, "main();"],
  ["an awaited call", `await main();`, "await main();"],
  ["a call chained to a function", `main().catch(console.error);`, "main().catch(console.error);"],
  ["a Router at the top", `${IMPORT}const router = new Router();`, "const router = new Router();"],
  [
    "a Router of a namespace",
    `import * as m from "mitogen";\nconst r = new m.Router();`,
    "const r = new m.Router();",
  ],
  ["an awaited initialiser", `const data = await load();`, "const data = await load();"],
  [
    "an awaited argument",
    `${IMPORT}await runWithRouter(main, await load());`,
    "await runWithRouter(main, await load());",
  ],
  ["work that resembles a compiled decorator", `var a;\na = await decorate();`, "a = await decorate();"],
  ["a loop", `for (const x of list) {\n go(x); }`, "for (const x of list) {"],
  ["a condition that is no guard", `if (process.argv[2]) main();`, "main();"],
  ["a negated guard", `${IMPORT}if (!isMain(import.meta)) main();`, "main();"],
  [
    "isMain of another library",
    `import { isMain } from "other";\nif (isMain(import.meta)) main();`,
    "main();",
  ],
  ["a guard inside a function", `function f() { if (import.meta.main) g(); }\nmain();`, "main();"],
  [
    "runWithRouter of another library",
    `import { runWithRouter } from "other";\nawait runWithRouter(main);`,
    "await runWithRouter(main);",
  ],
  [
    "a function of the file called runWithRouter",
    `function runWithRouter() {}\nrunWithRouter();`,
    "runWithRouter();",
  ],
  ["work before runWithRouter", `${IMPORT}start();\nawait runWithRouter(main);`, "start();"],
  ["work in finally", `${IMPORT}try { await runWithRouter(main); } finally { stop(); }`, "stop();"],
  ["a call in CommonJS", `${REQUIRE}main();`, "main();", "commonjs"],
];
for (const [name, source, line, format = "module"] of unsafe) {
  test(`neutralizeEntryModule refuses ${name} and shows it`, () => {
    assert.throws(() => neutralizeEntryModule(ID, source, format), {
      code: "ERR_MODULE_ENTRY",
      message:
        `Cannot send ${ID}, the script this program was started with: importing it there would run '${line}' again; ` +
        "put the work into a function and run it with `await runWithRouter(main)` or under `if (isMain(import.meta))`, " +
        "or move the functions that are called remotely into a module of their own",
    });
  });
}

test("neutralizeEntryModule refuses a too deeply nested program with its own error", () => {
  const source = `const a = ${"[".repeat(100_000)}${"]".repeat(100_000)};`;
  assert.throws(() => neutralizeEntryModule(ID, source, "module"), { code: "ERR_MODULE_ENTRY" });
});

const at = temporaryTree({
  "main.mjs": `const { isEntryModule } = await import(process.env.GUARD);
    console.log(isEntryModule(import.meta.url), isEntryModule(new URL("other.mjs", import.meta.url).href));`,
  "link.mjs": "→ main.mjs",
});
for (const script of ["main.mjs", "link.mjs"]) {
  test(`isEntryModule knows the script that a program was started with as ${script}`, () => {
    const GUARD = new URL("../../../src/loader/syntax/entry-guard.js", import.meta.url).href;
    const { stdout } = spawnSync(process.execPath, [new URL(at(script)).pathname], {
      encoding: "utf8",
      env: { ...process.env, GUARD },
    });
    assert.equal(stdout.trim(), "true false");
  });
}

test("isEntryModule is false for any other module", () => assert.equal(isEntryModule(ID), false));
