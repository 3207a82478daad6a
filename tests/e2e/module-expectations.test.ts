import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Context, Router, ref } from "../../src/index.ts";
import { targetsOf } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { nodeWithout } from "../support/npm-fixture.ts";
import { temporaryTree } from "../support/temporary-tree.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

/** What programs may expect of `require` and `import`: one expression each. */
const EXPECTATIONS: Record<"main.mjs" | "main.cjs", [name: string, expression: string, expected: unknown][]> =
  {
    "main.mjs": [
      ["importOfPackage", 'import("dep/lazy.js").then((m) => m.lazy)', 1],
      ["importOfFile", 'import("./lazy.mjs").then((m) => m.lazy)', 2],
      ["importOfJson", 'import("./data.json", { with: { type: "json" } }).then((m) => m.default.a)', 3],
      ["importOfData", 'import("data:text/javascript,export default 4").then((m) => m.default)', 4],
      ["importThrows", 'import("./throws.mjs").catch((error) => error.message)', "thrown"],
      ["importThrowsBelow", 'twice("./above-throws.mjs")', ["thrown", "thrown"]],
      [
        "importLacksBuiltin",
        'twice("./above-lacks.mjs", "code")',
        Array(2).fill("ERR_UNKNOWN_BUILTIN_MODULE"),
      ],
      ["createRequireOfPath", 'createRequire(fileURLToPath(import.meta.url))("dep").name', "dep"],
      ["createRequireOfOtherUrl", 'createRequire(new URL("./none.js", import.meta.url))("dep").name', "dep"],
      ["createRequireOfFolder", 'createRequire(new URL("./", import.meta.url))("dep").name', "dep"],
      ["resolveOfMissingFile", 'import.meta.resolve("./none.js").endsWith("/none.js")', true],
    ],
    "main.cjs": [
      ["importOfPackage", 'import("dep/lazy.js").then((m) => m.lazy)', 1],
      ["importOfComputed", 'import("./lazy" + ".mjs").then((m) => m.lazy)', 2],
      ["createRequireOfFilename", 'require("module").createRequire(__filename)("dep").name', "dep"],
      ["cacheHasModule", 'require.cache[(require("dep"), require.resolve("dep"))].exports.name', "dep"],
      [
        "cacheForgetsModule",
        '(() => { const old = require("dep"); delete require.cache[require.resolve("dep")]; return require("dep") === old; })()',
        false,
      ],
      ["resolvePaths", 'Array.isArray(require.resolve.paths("dep"))', true],
      ["moduleIsModule", 'module instanceof require("module")', true],
      ["privateLoad", 'require("module")._load("dep", module).name', "dep"],
      [
        "privateResolve",
        'require("module")._resolveFilename("dep", module) === require.resolve("dep")',
        true,
      ],
      ["stackFile", "callSites()[0].getFileName() === __filename", true],
    ],
  };

const TWICE = `async function twice(specifier, key = "message") {
  const fail = () => import(specifier).then(() => "no error", (error) => error[key]);
  return [await fail(), await fail()];
}`;

const CALL_SITES = `function callSites() {
  const before = Error.prepareStackTrace;
  Error.prepareStackTrace = (_, sites) => sites;
  const { stack } = new Error();
  Error.prepareStackTrace = before;
  return stack;
}`;

const at = temporaryTree({
  "package.json": "{}",
  "lazy.mjs": "export const lazy = 2;",
  "data.json": '{ "a": 3 }',
  "throws.mjs": 'throw new Error("thrown");',
  "above-throws.mjs": 'import "./throws.mjs";',
  "broken.json": "{",
  "above-broken.mjs": 'import "./broken.json" with { type: "json" };',
  "lacks.mjs": 'import "node:of-a-later-node";',
  "above-lacks.mjs": 'import "./lacks.mjs";',
  "node_modules/dep/package.json": '{ "name": "dep" }',
  "node_modules/dep/index.js": 'exports.name = "dep";',
  "node_modules/dep/lazy.js": "exports.lazy = 1;",
  "main.mjs": [
    'import { createRequire } from "node:module";\nimport { fileURLToPath } from "node:url";',
    TWICE,
    ...EXPECTATIONS["main.mjs"].map(([name, expression]) => `export const ${name} = () => ${expression};`),
  ].join("\n"),
  "main.cjs": [
    CALL_SITES,
    ...EXPECTATIONS["main.cjs"].map(([name, expression]) => `exports.${name} = () => ${expression};`),
  ].join("\n"),
});

const targets = targetsOf([12, 18, 26])
  .map((major) => [major, nodes[major]] as const)
  .filter(([, node]) => node);
if (targets.length === 0) targets.push([Number.parseInt(process.versions.node, 10), process.execPath]);

for (const [major, node = process.execPath] of targets) {
  describe(`a context on Node ${major}`, () => {
    let router: Router;
    let context: Context;
    before(async () => {
      router = new Router();
      context = await router.local({ nodePath: nodeWithout(fileURLToPath(at("")), node) ?? node });
    });
    after(() => router.shutdown());
    for (const [file, expectations] of Object.entries(EXPECTATIONS)) {
      for (const [name, expression, expected] of expectations) {
        it(`${file}: ${expression}`, async () => {
          assert.deepEqual(await context.call(ref<() => unknown>(at(file), name)), expected);
        });
      }
    }

    it("a call into a module that imports broken JSON fails, and the next one too", async () => {
      for (const _ of [1, 2]) {
        await assert.rejects(context.call(ref<() => unknown>(at("above-broken.mjs"), "f")), {
          name: "CallError",
          message: /^SyntaxError: .*broken\.json: /,
        });
      }
    });
  });
}
