/** JavaScript programs whose modules are found by Node's rules, run by Node and in contexts. */

import { plainAndRemote } from "../support/plain-and-remote.ts";

const packages: Record<string, string> = {
  "node_modules/dual/package.json": JSON.stringify({
    exports: { ".": { import: "./i.mjs", require: "./r.cjs" }, "./package.json": "./package.json" },
    browser: "./nowhere.js",
  }),
  "node_modules/dual/i.mjs": "export const state = { n: 0 }; export const kind = 'import';",
  "node_modules/dual/r.cjs": "exports.state = { n: 0 }; exports.kind = 'require';",
  "node_modules/legacy/package.json": `{ "main": "lib" }`,
  "node_modules/legacy/lib/index.js":
    "exports.dual = require('dual'); Object.defineProperty(exports, '__esModule', { value: true }); exports.default = 'd';",
  "node_modules/modern/package.json": `{ "type": "module", "exports": "./index.js" }`,
  "node_modules/modern/index.js":
    "import legacy, * as all from 'legacy'; export default [legacy.default, Object.keys(all).filter((name) => name !== 'module.exports').sort()];",
  "node_modules/for-browsers/package.json": JSON.stringify({
    main: "./node.js",
    browser: { "./node.js": "./browser.js", fs: false },
  }),
  "node_modules/for-browsers/node.js": "module.exports = typeof require('fs').readFileSync;",
  "node_modules/for-browsers/browser.js": "module.exports = 'browser';",
  "node_modules/conditional/package.json": JSON.stringify({
    exports: {
      ".": { browser: "./b.js", node: { import: "./ni.mjs", require: "./nr.cjs" }, default: "./d.js" },
      "./f/*.js": "./files/*.js",
      "./f/private/*": null,
      "./list": ["no path", "./list.js"],
    },
  }),
  "node_modules/conditional/ni.mjs": "export default 'node import';",
  "node_modules/conditional/nr.cjs": "module.exports = 'node require';",
  "node_modules/conditional/files/x/y.js": "module.exports = 'pattern';",
  "node_modules/conditional/list.js": "module.exports = 'list';",
  "node_modules/.pnpm/a@1/node_modules/a/index.js": "module.exports = 'a with ' + require('b');",
  "node_modules/.pnpm/a@1/node_modules/b": "→ ../../b@1/node_modules/b",
  "node_modules/.pnpm/b@1/node_modules/b/index.js": "module.exports = 'b';",
  "node_modules/a": "→ .pnpm/a@1/node_modules/a",
  "node_modules/workspace": "→ ../packages/workspace",
  "packages/workspace/package.json": `{ "name": "workspace", "type": "module", "exports": "./src/index.js" }`,
  "packages/workspace/src/index.js": "import { kind } from 'dual'; export default 'workspace ' + kind;",
  "node_modules/looked-up/package.json": `{ "main": "./main.js" }`,
  "node_modules/looked-up/main.js": "module.exports = 'looked up';",
  "node_modules/hidden-name/index.js": "module.exports = 'hidden';",
  "node_modules/only-created/index.js": "module.exports = 'created';",
  "node_modules/careful/index.js": "try { require('absent') } catch (error) { exports.code = error.code; }",
};

const app: Record<string, string> = {
  "package.json": JSON.stringify({
    name: "app",
    type: "module",
    exports: { "./self": { import: "./self.mjs", require: "./self.cjs" } },
    imports: {
      "#own": { import: "./own.mjs", require: "./own.cjs" },
      "#lib/*": "./lib/*.mjs",
      "#lib/*.js": "./lib/*.mjs",
      "#lib/not/*.js": null,
      "#os": "os",
      "#dual": "dual",
    },
  }),
  "self.mjs": "export default 'self import';",
  "self.cjs": "module.exports = 'self require';",
  "own.mjs": "export default 'own import';",
  "own.cjs": "module.exports = 'own require';",
  "lib/a.mjs": "export default 'lib a';",
  "data.json": `{ "a": [1, "ü"] }`,
  "more.json": "{}",
  "file.xyz": "hello",
  "folder/index.js": "",
  "counted.mjs":
    "export const state = { n: 0 }; export const { search, hash } = new URL(import.meta.url); export { once } from './once.mjs';",
  "once.mjs": "export const once = {};",
  "counted.cjs": "exports.state = {};",
  "only-required.json": `{ "read": true }`,
  "common.cjs": `
    const lastParts = (path) => path.split("/").slice(-2).join("/");
    const outcome = (call) => { try { return lastParts(call()); } catch (error) { return error.code; } };
    exports.lookUps = () => [
      outcome(() => require.resolve("looked-up")),
      outcome(() => require.resolve("looked-up/package.json")),
      outcome(() => require.resolve("looked-up/absent.js")),
      outcome(() => require.resolve("./own.cjs")),
      outcome(() => require.resolve("absent")),
      outcome(() => require.resolve("os")),
      module.require("hidden-name"),
    ];
  `,
};

const cases = `
  import { createRequire } from "node:module";
  import * as dualImport from "dual";
  import * as dualAlias from "#dual";
  import legacy from "legacy";
  import modern from "modern";
  import forBrowsers from "for-browsers";
  import conditional from "conditional";
  import pattern from "conditional/f/x/y.js";
  import list from "conditional/list";
  import self from "app/self";
  import own from "#own";
  import libA from "#lib/a";
  import os from "#os";
  import a from "a";
  import workspace from "workspace";
  import * as linked from "workspace";
  import * as real from "./packages/workspace/src/index.js";
  import careful from "careful";
  import data from "./data.json" with { type: "json" };
  import sum from "data:text/javascript,export default 1 + 1";
  import base64 from "data:text/javascript;base64,ZXhwb3J0IGRlZmF1bHQgMys0";
  import percent from "data:text/javascript;charset=utf-8,export%20default%20%22%C3%BC%23%22";
  import builtin from 'data:text/javascript,import os from "node:os"; export default typeof os.hostname';
  import lowered from "data:text/javascript,export default globalThis%3F.absent %3F%3F 7";
  import json from 'data:application/json,{"__proto__":{"b":2},"c":"%23"}' with { type: "json" };
  import json64 from "data:application/json;base64,eyJiIjoyfQ==" with { type: "json" };
  import * as one from "./counted.mjs?x=1";
  import * as oneAgain from "./counted.mjs?x=1";
  import * as two from "./counted.mjs?x=2";
  import * as fragment from "./counted.mjs#f";
  import * as bare from "./counted.mjs";
  import queriedCjs from "./counted.cjs?1";
  import queriedCjsToo from "./counted.cjs?2";

  import written from "#lib/a.js";
  import * as common from "./common.cjs";

  const require = createRequire(import.meta.url);
  const __require = createRequire(import.meta.url);
  const codeOf = async (call) => {
    try {
      await call();
      return "none";
    } catch (error) {
      return error.code.replace(/_(?:ASSERTION|ATTRIBUTE)_TYPE_(?:MISSING|FAILED|INCOMPATIBLE)|_ATTRIBUTE_MISSING/, "_ATTRIBUTE");
    }
  };

  export const conditions = () => [conditional, pattern, list, require("conditional")];
  export const ownNames = () => [self, own, libA, written, typeof os.hostname, require("app/self"), require("#own")];
  export const dualPackages = () => {
    const required = require("dual");
    const same = [dualImport.state === required.state, legacy.dual === required, dualAlias === dualImport];
    return [dualImport.kind, required.kind, same];
  };
  export const formats = () => [modern, forBrowsers];
  export const links = () => [a, workspace, linked.default === real.default];
  export const jsonFile = () => [data, data === require("./data.json")];
  export const dataUrls = () => [sum, base64, percent, builtin, lowered, Object.keys(json), json.c, json64];
  export const queries = () => [
    [one.search, two.search, fragment.hash, bare.search],
    [one === oneAgain, one.state === two.state, one.state === fragment.state, one.once === two.once],
    queriedCjs === queriedCjsToo,
  ];
  export const created = () => [__require("only-created"), createRequire(import.meta.url)("./only-required.json")];
  export const { lookUps } = common;
  export const esLookUps = async () => {
    const found = [import.meta.resolve("looked-up"), import.meta.resolve("./absent.mjs")];
    return [found.map((url) => url.split("/").slice(-2)), (await import(found[0])).default];
  };
  export const optional = () => [careful.code];
  export const refused = () => Promise.all([
    codeOf(() => import("absent")),
    codeOf(() => import("./absent.mjs")),
    codeOf(() => import("conditional/f/private/x.js")),
    codeOf(() => import("#lib/not/x.js")),
    codeOf(() => import("")),
    codeOf(() => import("conditional/absent")),
    codeOf(() => import("#absent")),
    codeOf(() => import("./folder")),
    codeOf(() => import("./lib/a")),
    codeOf(() => import("./file.xyz")),
    codeOf(() => import("./more.json")),
    codeOf(() => import("data:text/plain,hello")),
    codeOf(() => import("data:application/json,{}")),
    codeOf(() => import("./own.mjs", { with: { type: "json" } })),
    codeOf(() => require("absent")),
    codeOf(() => require("./absent")),
    codeOf(() => require("conditional/absent")),
  ]);
  export const words = async () => {
    const [first, second] = await Promise.all(
      [import("absent"), import("./absent.mjs")].map((one) => one.catch(({ message }) => message)),
    );
    return [first, second];
  };
  export const kinds = () => Promise.all(
    [import("#absent"), import("conditional/absent"), import("./lib%2fa")].map((one) =>
      one.catch((error) => [error.code, error.name]),
    ),
  );
`;

plainAndRemote("Resolution", "./cases.mjs", { ...packages, ...app, "cases.mjs": cases });
