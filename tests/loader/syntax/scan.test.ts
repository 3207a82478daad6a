import assert from "node:assert/strict";
import { test } from "node:test";
import { scanRequires } from "../../../src/loader/syntax/require-scanner.ts";
import { scanModule } from "../../../src/loader/syntax/scan.ts";
import { isQuick } from "../../support/extent.ts";

const found: [source: string, specifiers: string[]][] = [
  [`require("a"); require('b'); require(\`c\`)`, ["a", "b", "c"]],
  [`const { x } = require ( "a" ) , y = [...require("b")]`, ["a", "b"]],
  [`// require("a")\n/* require("b") */ require("c")`, ["c"]],
  [`"require('a')"; 'require("b")'; \`require("c")\`; require("d")`, ["d"]],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a module
  ["`${require('a')} ${`${require('b')}`} require('c')`", ["a", "b"]],
  [`x = /require("a")/; y = a / require("b") / 2`, ["b"]],
  [`return /['"\`]/.test(s) ? require("a") : 1`, ["a"]],
  [`x = /[/"]/g; require("a")`, ["a"]],
  [`module.require("a"); foo.require("b"); foo\n  .require("c"); xrequire("d"); require("e")`, ["a", "e"]],
  [
    `require.resolve("a"); require . resolve('b', x); foo.require.resolve("c"); require.cache("d")`,
    ["a", "b"],
  ],
  [
    `createRequire(import.meta.url)("a"); m.createRequire(f(u)).resolve("b"); createRequire(u); ("c")`,
    ["a", "b"],
  ],
  [
    `import { createRequire as made } from "module"; const __require = made(import.meta.url); __require("a"); made(u)("b")`,
    ["a", "b"],
  ],
  [
    `const { createRequire: c } = require("module"); let r; r = c(u); r("a"); x.r("b"); s = c; s("c")`,
    ["module", "a"],
  ],
  [
    `const r = require; r("a"); r.resolve("b"); x.r("c"); let q = require\nq("d"); p = module.require, p("e")`,
    ["a", "b", "d", "e"],
  ],
  [
    `t = require.main; t("a"); o = typeof require; o("b"); u = a || require; u("c"); v = xrequire; v("d")`,
    [],
  ],
  [`require(name); require("a" + name); require("b\\n"); require()`, []],
  [`require("a", "b")`, ["a"]],
  [`#!/usr/bin/env node it's\nrequire("a")`, ["a"]],
  [`"unterminated\nrequire("a")`, ["a"]],
  [`{ let a = b } / 2; require("a")`, ["a"]],
  [`import("a").then(() => require("b"))`, ["a", "b"]],
];

for (const [source, specifiers] of found) {
  test(`scanRequires finds ${specifiers.join(", ") || "nothing"} in ${JSON.stringify(source)}`, () => {
    assert.deepEqual(
      scanRequires(source).map(({ specifier }) => specifier),
      specifiers,
    );
  });
}

test("scanRequires marks calls in a try block as optional, and no others", () => {
  const source = `require("a"); try { if (x) { require("b") } } catch { require("c") } finally { require("d") } require("e")`;
  const optional = scanRequires(source).filter(({ isOptional }) => isOptional);
  assert.deepEqual(
    optional.map(({ specifier }) => specifier),
    ["b"],
  );
  // The name may mean something else here.
  assert.deepEqual(
    scanRequires(`r = require; (r) => r("a"); require("b")`).map(({ isOptional }) => isOptional),
    [true, false],
  );
});

const CREATED = [
  "createRequire(",
  "x=require,",
  "=require;",
  "createRequire((",
  "createRequire(()",
  "x=createRequire(",
  "createRequire as x ",
];

test("scanRequires takes time in proportion to the text, whatever the text", () => {
  // CPU time, because other processes use the machine as well. Quadratic time would be several times the limit.
  const [count, limitMs] = isQuick ? [30_000, 1_500] : [100_000, 5_000];
  const time = (source: string): number => {
    const start = process.cpuUsage();
    scanRequires(source);
    return process.cpuUsage(start).user / 1000;
  };
  for (const piece of ["require(", "`${", "/*", 'require("', "/[", "{", "require   (   ", ...CREATED]) {
    time(`require${piece.repeat(1_000)}`);
    assert.ok(time(`require${piece.repeat(count)}`) < limitMs, piece);
  }
});

test("scanModule distinguishes static, dynamic and re-exporting imports of an ES module", () => {
  const source = `import a from "a"; export { b } from "b"; export * from "c"; import("d"); import(e); import(\`f\${g}\`); import.meta.url`;
  assert.deepEqual(
    scanModule(source, "module", "file:///x.js").imports.map(({ specifier, isDynamic }) => [
      specifier,
      isDynamic,
    ]),
    [
      ["a", false],
      ["b", false],
      ["c", false],
      ["d", true],
    ],
  );
});

test("scanModule finds calls of a require that an ES module has made, and marks them as optional", () => {
  const source = `import { createRequire } from "module"; const require = createRequire(import.meta.url); require("a")`;
  assert.deepEqual(scanModule(source, "module", "file:///x.js").imports.at(-1), {
    specifier: "a",
    kind: "require",
    isDynamic: false,
    isLookUp: false,
    isOptional: true,
  });
});

test("scanModule lists the names and re-exports of CommonJS", () => {
  const scanned = scanModule(
    `exports.a = 1; module.exports.b = 2; __exportStar(require("c"), exports)`,
    "commonjs",
    "x",
  );
  assert.deepEqual(scanned.exports, ["a", "b"]);
  assert.deepEqual(scanned.reexports, ["c"]);
});

test("scanModule finds requires, but no names of exports, in CommonJS that its lexer cannot read", () => {
  const source = `require("a"); export const b = 1; exports.c = 2;`;
  assert.deepEqual(scanModule(source, "commonjs", "x"), {
    imports: [{ specifier: "a", kind: "require", isDynamic: false, isLookUp: false, isOptional: false }],
    exports: [],
    reexports: [],
  });
});

test("scanModule finds what a module only looks up, and does not count it among the modules to send", () => {
  const es = `import.meta.resolve("a"); import.meta.resolve(b); import.meta.url.resolve("c"); "import.meta.resolve('d')"`;
  const common = `require.resolve("a"); if (0) exports.b = 1`;
  for (const [source, format] of [
    [es, "module"],
    [common, "commonjs"],
  ] as const) {
    const kind = format === "module" ? "import" : "require";
    assert.deepEqual(scanModule(source, format, "file:///x.js").imports, [
      { specifier: "a", kind, isDynamic: true, isLookUp: true, isOptional: true },
    ]);
  }
});
