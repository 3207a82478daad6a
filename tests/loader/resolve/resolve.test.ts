import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { resolveModule } from "../../../src/loader/resolve/resolve.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const at = temporaryTree({
  "package.json": JSON.stringify({
    name: "app",
    type: "module",
    exports: { "./self": "./self.js" },
    imports: {
      "#dep": { import: "./dep.mjs", require: "./dep.cjs" },
      "#os": "os",
      "#*": "./absent/*.js",
      "#deep/*.js": { import: "./deep/*.ts", require: "./self.js" },
      "#deep/in/*.js": ["./../deep/*.js", "./deep/in/*.js"],
      "#deep/none/*.js": null,
      "#legacy/*.js": "legacy/*.js",
      "#out/*.js": "../*.js",
      "#/*": "./deep/*",
      "#/self": "./self.js",
    },
  }),
  "self.js": "",
  "dep.mjs": "",
  "dep.cjs": "",
  "main.ts": "",
  "main.js": "",
  "only.ts": "",
  "only.mts": "",
  "only.cts": "",
  "view.tsx": "",
  "both.ts": "",
  "both.js": "",
  "data.json": "{}",
  "folder/index.ts": "",
  "spaced name/näme.ts": "",
  "node_modules/dual/package.json": JSON.stringify({
    exports: {
      ".": { import: "./index.mjs", require: "./index.cjs" },
      "./only-import": { import: "./index.mjs" },
    },
  }),
  "node_modules/dual/index.mjs": "",
  "node_modules/dual/index.cjs": "",
  "node_modules/dual/hidden.js": "",
  "node_modules/sync/package.json": JSON.stringify({
    exports: { ".": { "module-sync": "./index.mjs", default: "./index.js" } },
    imports: { "#own": { "module-sync": "./index.mjs", default: "./index.js" } },
  }),
  "node_modules/sync/index.mjs": "",
  "node_modules/sync/index.js": "",
  "node_modules/legacy/package.json": JSON.stringify({ main: "lib" }),
  "node_modules/legacy/lib/index.js": "",
  "node_modules/legacy/deep.js": "",
  "node_modules/@scope/pkg/package.json": JSON.stringify({ exports: { "./*": "./src/*.js" } }),
  "node_modules/@scope/pkg/src/thing.js": "",
  "node_modules/.pnpm/linked@1/node_modules/linked/package.json": "{}",
  "node_modules/.pnpm/linked@1/node_modules/linked/index.js": "",
  "node_modules/linked": "→ .pnpm/linked@1/node_modules/linked",
  "node_modules/workspace": "→ ../packages/workspace",
  "packages/workspace/package.json": JSON.stringify({ exports: "./src/index.js" }),
  "packages/workspace/src/index.ts": "",
  "node_modules/for-browsers/package.json": JSON.stringify({
    main: "n.js",
    browser: "b.js",
    exports: undefined,
  }),
  "node_modules/for-browsers/n.js": "",
  "node_modules/for-browsers/b.js": "",
  "tsconfig.json": `{ "extends": ["./config/other.json", "./config/paths.json"], "compilerOptions": { "strict": true } }`,
  "config/other.json": `{ "compilerOptions": { "paths": { "never/*": ["*"] } } }`,
  "config/paths.json": `{
    "extends": "./paths.json", // itself
    "compilerOptions": { "paths": {
      "~/*": ["../absent/*", "../deep/*"], "~/deeper/*": ["../deep/in/*"],
      "exact": ["../deep/x.ts"], "types": ["./types.d.ts"], "dual": ["../deep/x.ts"], "*/tail": ["../deep/in/*"],
      "own/*": ["\${configDir}/deep/*"],
    } },
  }`,
  "config/types.d.ts": "",
  "deep/x.ts": "",
  "deep/in/y.ts": "",
  "deep/in/y.js": "",
  "deep/absent/z.ts": "",
  "nested/tsconfig.json": `{ "compilerOptions": { "baseUrl": "./src" } }`,
  "nested/src/base.ts": "",
  "nested/main.ts": "",
  "queried.mjs": "",
  "queried.cjs": "",
  "node_modules/untyped/package.json": "{}",
  "node_modules/untyped/esm.js": "export {};",
  "node_modules/untyped/cjs.js": "exports.a = 1;",
});
const TS = at("main.ts");
const JS = at("main.js");

const resolved: [specifier: string, parent: string, kind: "import" | "require", file: string][] = [
  ["./only.js", TS, "import", "only.ts"],
  ["./only.mjs", TS, "import", "only.mts"],
  ["./only.cjs", TS, "require", "only.cts"],
  ["./view.js", TS, "import", "view.tsx"],
  ["./view.jsx", TS, "import", "view.tsx"],
  ["./both.js", TS, "import", "both.js"],
  ["./only", TS, "import", "only.ts"],
  ["./only", TS, "require", "only.ts"],
  ["./folder", TS, "import", "folder/index.ts"],
  ["./folder", TS, "require", "folder/index.ts"],
  ["./only.ts", JS, "import", "only.ts"],
  ["./data.json", JS, "import", "data.json"],
  ["./data", JS, "require", "data.json"],
  ["./spaced name/näme.ts", JS, "import", "spaced name/näme.ts"],
  ["app/self", JS, "import", "self.js"],
  ["app/self", JS, "require", "self.js"],
  ["#dep", JS, "import", "dep.mjs"],
  ["#dep", JS, "require", "dep.cjs"],
  ["#deep/x.js", JS, "import", "deep/x.ts"],
  ["#deep/x.js", JS, "require", "self.js"],
  ["#deep/in/y.js", JS, "import", "deep/in/y.js"],
  ["#legacy/deep.js", JS, "import", "node_modules/legacy/deep.js"],
  ["#/x.ts", JS, "import", "deep/x.ts"],
  ["#/self", JS, "import", "self.js"],
  ["dual", JS, "import", "node_modules/dual/index.mjs"],
  ["dual", JS, "require", "node_modules/dual/index.cjs"],
  ["sync", JS, "require", "node_modules/sync/index.js"],
  ["#own", at("node_modules/sync/index.js"), "require", "node_modules/sync/index.js"],
  ["legacy", JS, "import", "node_modules/legacy/lib/index.js"],
  ["legacy", JS, "require", "node_modules/legacy/lib/index.js"],
  ["legacy/deep", JS, "require", "node_modules/legacy/deep.js"],
  ["@scope/pkg/thing", JS, "import", "node_modules/@scope/pkg/src/thing.js"],
  ["linked", JS, "import", "node_modules/.pnpm/linked@1/node_modules/linked/index.js"],
  ["linked", JS, "require", "node_modules/.pnpm/linked@1/node_modules/linked/index.js"],
  ["workspace", TS, "import", "packages/workspace/src/index.ts"],
  ["for-browsers", JS, "import", "node_modules/for-browsers/n.js"],
  ["for-browsers", JS, "require", "node_modules/for-browsers/n.js"],
  ["~/x", TS, "import", "deep/x.ts"],
  ["~/x.js", TS, "require", "deep/x.ts"],
  ["~/in/y", TS, "import", "deep/in/y.ts"],
  ["~/deeper/y.js", TS, "import", "deep/in/y.ts"],
  ["exact", TS, "import", "deep/x.ts"],
  ["y/tail", TS, "import", "deep/in/y.ts"],
  ["own/x", TS, "import", "deep/x.ts"],
  // Node finds the package, and this program runs under no loader that reads `paths`.
  ["dual", TS, "import", "node_modules/dual/index.mjs"],
  ["base", at("nested/main.ts"), "import", "nested/src/base.ts"],
  ["./queried.mjs?x=1", JS, "import", "queried.mjs?x=1"],
  ["./queried.mjs#f", JS, "import", "queried.mjs#f"],
  ["./only.js?x=1#f", TS, "import", "only.ts?x=1#f"],
  ["./queried.cjs?x=1", JS, "import", "queried.cjs"],
  ["untyped/esm.js?x=1", JS, "import", "node_modules/untyped/esm.js?x=1"],
  ["untyped/cjs.js?x=1", JS, "import", "node_modules/untyped/cjs.js"],
];

for (const [specifier, parent, kind, file] of resolved) {
  test(`resolveModule finds ${file} for ${kind} of ${specifier} in ${parent.endsWith(".ts") ? "TypeScript" : "JavaScript"}`, () => {
    const [, path = "", query = ""] = /^([^?#]*)(.*)$/.exec(file) ?? [];
    assert.deepEqual(resolveModule(specifier, parent, kind), { id: at(path) + query });
  });
}

const refused: [specifier: string, parent: string, kind: "import" | "require", code: string][] = [
  ["./only.js", JS, "import", "ERR_MODULE_NOT_FOUND"],
  ["./only", JS, "import", "ERR_MODULE_NOT_FOUND"],
  ["./only", JS, "require", "MODULE_NOT_FOUND"],
  ["./folder", JS, "import", "ERR_UNSUPPORTED_DIR_IMPORT"],
  ["./absent.js", TS, "import", "ERR_MODULE_NOT_FOUND"],
  ["absent", TS, "import", "ERR_MODULE_NOT_FOUND"],
  ["dual/hidden.js", TS, "import", "ERR_PACKAGE_PATH_NOT_EXPORTED"],
  ["dual/only-import", JS, "require", "ERR_PACKAGE_PATH_NOT_EXPORTED"],
  ["#nothing", JS, "import", "ERR_MODULE_NOT_FOUND"],
  ["#own", JS, "require", "MODULE_NOT_FOUND"],
  ["#nothing", at("node_modules/sync/index.js"), "import", "ERR_PACKAGE_IMPORT_NOT_DEFINED"],
  ["#deep/none/x.js", JS, "import", "ERR_PACKAGE_IMPORT_NOT_DEFINED"],
  ["#deep/none/x.js", JS, "require", "ERR_PACKAGE_IMPORT_NOT_DEFINED"],
  ["#deep/../x.js", JS, "import", "ERR_INVALID_MODULE_SPECIFIER"],
  ["#deep/%2E/x.js", JS, "import", "ERR_INVALID_MODULE_SPECIFIER"],
  ["#deep/absent.js", JS, "import", "ERR_MODULE_NOT_FOUND"],
  ["legacy/deep", JS, "import", "ERR_MODULE_NOT_FOUND"],
  ["types", TS, "import", "ERR_MODULE_NOT_FOUND"],
  ["never/main", TS, "import", "ERR_MODULE_NOT_FOUND"],
  ["~/x", JS, "import", "ERR_MODULE_NOT_FOUND"],
  ["~/x", at("nested/main.ts"), "import", "ERR_MODULE_NOT_FOUND"],
  ["data:text/plain,1", JS, "import", "ERR_UNKNOWN_MODULE_FORMAT"],
];

for (const [specifier, parent, kind, code] of refused) {
  test(`resolveModule throws ${code} for ${kind} of ${specifier} in ${parent === TS ? "TypeScript" : "JavaScript"}`, () => {
    assert.throws(() => resolveModule(specifier, parent, kind), { code });
  });
}

test("resolveModule names builtins in one way and never looks for a file of that name", () => {
  for (const specifier of ["fs", "node:fs"]) {
    assert.deepEqual(resolveModule(specifier, JS, "import"), { builtin: "node:fs" });
    assert.deepEqual(resolveModule(specifier, JS, "require"), { builtin: "node:fs" });
  }
  assert.deepEqual(resolveModule("#os", JS, "import"), { builtin: "node:os" });
});

test("resolveModule knows this library by name", () => {
  assert.deepEqual(resolveModule("mitogen", JS, "import"), { builtin: "mitogen" });
  assert.deepEqual(resolveModule("mitogen", JS, "require"), { builtin: "mitogen" });
});

test("resolveModule keeps data: URLs", () => {
  assert.deepEqual(resolveModule("data:text/javascript,1", JS, "import"), { id: "data:text/javascript,1" });
});

test("resolveModule names the file that requires a missing module", () => {
  assert.throws(() => resolveModule("absent", JS, "require"), {
    message: `Cannot find module 'absent'\nRequire stack:\n- ${fileURLToPath(JS)}`,
  });
});
