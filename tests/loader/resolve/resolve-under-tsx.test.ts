/** A program under tsx prints how tsx resolves its imports, and how this library does. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryTree } from "../../support/temporary-tree.ts";

const SPECIFIERS = [
  ...[
    "./both.js",
    "./both",
    "./folder",
    "./folder/",
    "./twice",
    "./twice/",
    "./only.js",
    "./only",
    "./only.ts",
  ],
  ...["./view.js", "./view.jsx", "./view", "./component.js", "./component", "./component.jsx", "./pair.jsx"],
  ...["./data", "./data.json", "./data.json.js", "./m.mjs", "./c.cjs", "./a.b", "./a.b.js"],
  ...["./only.js?x=1", "./only?x=1", "./only.ts?x=1#f"],
  ...["dual", "legacy", "legacy/deep", "legacy/deep.js", "legacy/folder", "in-ts", "main-in-ts", "workspace"],
  ...[
    "@/a",
    "@/a.js",
    "@/a.ts",
    "@/folder",
    "@lib/a",
    "@lib/b.js",
    "@lib/b",
    "exact",
    "src/exact",
    "@any/a-x",
  ],
  ...["#dep", "#lib/a", "#lib/b", "#os", "app/self", "node:fs", "absent", "dual/absent"],
];

const resolver = new URL("../../../src/loader/resolve/resolve.js", import.meta.url).href;
const program = `
  const { resolveModule } = await import(${JSON.stringify(resolver)});
  const specifiers = ${JSON.stringify(SPECIFIERS)};
  const answer = (ask: (specifier: string) => string) => Object.fromEntries(specifiers.map((specifier) => {
    try {
      return [specifier, ask(specifier)];
    } catch (error) {
      return [specifier, (error as { code: string }).code];
    }
  }));
  const ask = (specifier: string) => {
    const found = resolveModule(specifier, import.meta.url, "import");
    return found.id ?? found.builtin;
  };
  const byLoader = answer((specifier) => import.meta.resolve(specifier));
  console.log(JSON.stringify([byLoader, answer(ask)]));
`;

const at = temporaryTree({
  "package.json": JSON.stringify({
    name: "app",
    type: "module",
    exports: { "./self": "./self.js" },
    imports: {
      "#dep": { import: "./dep.mjs", require: "./dep.cjs" },
      "#lib/*": "./src/lib/*.js",
      "#os": "os",
    },
  }),
  "tsconfig.json": `{ "extends": "./config/base.json", /* none */ }`,
  "config/base.json": JSON.stringify({
    compilerOptions: {
      baseUrl: "..",
      paths: {
        "@/*": ["./src/*"],
        "@lib/*": ["./absent/*", "./src/lib/*"],
        "@any/*-x": ["./src/*"],
        "#dep": ["./src/exact.ts"],
        exact: ["./src/exact.ts"],
        dual: ["./src/dual.ts"],
      },
    },
  }),
  ...Object.fromEntries(
    [
      ...[
        "self.js",
        "dep.mjs",
        "dep.cjs",
        "both.ts",
        "both.js",
        "only.ts",
        "view.tsx",
        "component.jsx",
        "pair.jsx",
      ],
      ...[
        "pair.tsx",
        "data.json.ts",
        "m.mts",
        "c.cts",
        "a.b.ts",
        "folder/index.ts",
        "twice.ts",
        "twice/index.ts",
      ],
      ...["src/exact.ts", "src/dual.ts", "src/a.ts", "src/lib/a.ts", "src/lib/b.js", "src/folder/index.ts"],
    ].map((path) => [path, ""]),
  ),
  "data.json": "{}",
  "node_modules/dual/package.json": `{ "exports": { "import": "./i.mjs", "require": "./r.cjs" } }`,
  "node_modules/dual/i.mjs": "",
  "node_modules/dual/r.cjs": "",
  "node_modules/legacy/package.json": `{ "main": "lib/main" }`,
  "node_modules/legacy/lib/main.js": "",
  "node_modules/legacy/deep.js": "",
  "node_modules/legacy/folder/index.js": "",
  "node_modules/in-ts/package.json": `{ "exports": "./src/index.js" }`,
  "node_modules/in-ts/src/index.ts": "",
  "node_modules/main-in-ts/package.json": `{ "main": "./src/index.js" }`,
  "node_modules/main-in-ts/src/index.ts": "",
  "node_modules/workspace": "→ ../packages/workspace",
  "packages/workspace/package.json": `{ "name": "workspace", "exports": "./src/index.js" }`,
  "packages/workspace/src/index.ts": "",
  "ask.ts": program,
});

test("resolveModule agrees with tsx if the program runs under it", () => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--no-warnings", "--import", import.meta.resolve("tsx"), fileURLToPath(at("ask.ts"))],
    { encoding: "utf8", timeout: 60_000, cwd: fileURLToPath(at("")) },
  );
  assert.notEqual(stdout, "", stderr);
  const [byLoader, byUs] = JSON.parse(stdout.replaceAll(at(""), ""));
  assert.equal(byLoader["./both.js"], "both.ts");
  for (const [specifier, expected] of Object.entries(byLoader)) {
    assert.equal(byUs[specifier], expected, specifier);
  }
});
