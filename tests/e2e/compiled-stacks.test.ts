/** Stacks of one program whose contexts run several Nodes, each with its own text of the same modules. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";
import { type Context, Router, ref } from "../../src/index.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { temporaryTree } from "../support/temporary-tree.ts";

const packaged = transformSync(
  "interface A { a: 1 }\n\n\n\nexport function inline(): never {\n  throw new Error(globalThis?.name ?? 'x');\n}\n",
  { loader: "ts", sourcemap: "inline", sourcefile: "../src/index.ts" },
).code;

const compiled = transformSync(
  "interface A { a: 1 }\n\n\nexport function fail(): never {\n  throw new Error('compiled');\n}\n",
  { loader: "ts", sourcemap: "inline", sourcefile: "fail.ts" },
).code;

const at = temporaryTree({
  "package.json": `{ "type": "module" }`,
  "node_modules/inline/package.json": `{ "type": "module", "exports": "./dist/index.js" }`,
  "node_modules/inline/dist/index.js": packaged,
  "node_modules/external/package.json": `{ "type": "module", "exports": "./index.js" }`,
  "node_modules/external/index.js":
    "// a comment\nexport function external() {\n  throw new Error(globalThis?.name ?? 1);\n}\n//# sourceMappingURL=index.js.map",
  "node_modules/external/index.js.map": `{ "version": 3, "sources": ["../src/i.ts"], "mappings": "AAUA" }`,
  "node_modules/plain/index.js":
    "// a comment\n\nexports.plain = function plain() {\n  throw new Error(globalThis?.name ?? 1);\n};\n",
  "tasks.ts": [
    "interface A {\n  a: 1;\n}\nenum E { A }",
    `import { inline } from "inline";\nimport { external } from "external";\nimport legacy from "plain";`,
    "const functions = { inline, external, plain: legacy.plain, own };",
    "function own(): never {",
    "  throw new Error(E[E.A] + (globalThis?.name ?? 1));",
    "}",
    "async function deep(which: keyof typeof functions): Promise<void> {",
    "  await null;",
    "  type B = 1;",
    "  functions[which]();",
    "}",
    "export async function outer(which: keyof typeof functions): Promise<void> {",
    "  interface C { c: 1 }",
    "  await deep(which);",
    "}",
    "",
  ].join("\n"),
  "dist/fail.js": compiled,
  "driver.mjs": `
    import { Router } from ${JSON.stringify(new URL("../../src/index.js", import.meta.url).href)};
    import { fail } from "./dist/fail.js";
    const router = new Router();
    const context = await router.local();
    console.log(await context.call(fail).catch(({ stack }) => stack));
    await router.shutdown();`,
});

const targets: Record<string, string> = {};
for (const major of ["12", "14", "18", "20", "26"]) {
  if (nodes[major] !== undefined) targets[major] = nodes[major];
}
if (Object.keys(targets).length === 0) targets[process.versions.node] = process.execPath;

let router: Router;
const contexts: Context[] = [];
before(async () => {
  router = new Router();
  for (const nodePath of Object.values(targets)) contexts.push(await router.local({ nodePath }));
});
after(() => router.shutdown());
checkLeaks({ ignoreCommand: /esbuild/ });

const frames: [which: string, place: RegExp][] = [
  ["own", /^ {4}at (?:Object\.)?own \(<app>tasks\.ts:10:9\)/],
  ["inline", /^ {4}at .*inline\]? \(<app>node_modules\/inline\/dist\/index\.js:2:9\)/],
  ["external", /^ {4}at .*external\]? \(<app>node_modules\/external\/index\.js:3:9\)/],
  ["plain", /^ {4}at .*plain\]? \(<app>node_modules\/plain\/index\.js:4:9\)/],
];
for (const [which, place] of frames) {
  test(`A stack from ${which} names the lines of the source files, on every Node alike`, async () => {
    const outer = ref<(name: string) => Promise<void>>(at("tasks.ts"), "outer");
    // Calls all contexts first, so that every text of the modules is known when the first stack is read.
    for (const round of [1, 2]) {
      for (const context of contexts) {
        const error = await context.call(outer, which).then(undefined, (reason: Error) => reason);
        const lines = String(error?.stack)
          .replaceAll(at(""), "<app>")
          .replaceAll(fileURLToPath(at("")), "<app>")
          .split("\n");
        assert.match(lines[1] ?? "", place, `round ${round}: ${lines.join("\n")}`);
        assert.match(lines[2] ?? "", /^ {4}at deep \(<app>tasks\.ts:15:\d+\)$/);
        assert.match(lines[3] ?? "", /^ {4}at async .*outer \(<app>tasks\.ts:19:\d+\)$/);
      }
    }
  });
}

test("A stack of compiled JavaScript follows its source map where the program's own stacks do", () => {
  const program = fileURLToPath(at("driver.mjs"));
  const run = (...args: string[]): string =>
    spawnSync(process.execPath, [...args, program], { encoding: "utf8", timeout: 60_000 }).stdout;
  assert.match(run(), /at .*fail \(file:.*\/dist\/fail\.js:2:9\)/);
  assert.match(run("--enable-source-maps"), /at .*fail \(file:.*\/dist\/fail\.ts:5:9\)/);
});
