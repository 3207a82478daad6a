import assert from "node:assert/strict";
import { test } from "node:test";
import { Compiler } from "../../../src/loader/compile/compile.ts";
import { ModuleGraph } from "../../../src/loader/compile/graph.ts";
import { ModuleRules } from "../../../src/loader/compile/module-rules.ts";
import { RuledModules, resolveByRules } from "../../../src/loader/compile/ruled-modules.ts";
import type { ImportKind } from "../../../src/loader/module-record.ts";
import type { ModuleRequest } from "../../../src/loader/serve/module-request.ts";
import { decideRequest } from "../../../src/loader/serve/serve-policy.ts";
import { ServedContext } from "../../../src/loader/serve/served-context.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const NODE = "22.0.0";
const DATA = "data:text/javascript,export%20default%201";
const OWN_INDEX = new URL("../../../src/index.js", import.meta.url).href;

const at = temporaryTree({
  "package.json": `{ "type": "module", "name": "app", "imports": { "#os": "os", "#other": "unused" } }`,
  "top.ts": `import "./shared.ts"; import own from "./requiring.js"; export default own;`,
  "shared.ts": `export const later = () => import("./later.ts"); export const lazy = () => import("lazy"); export const broken = () => [import("absent"), import("data:text/plain,x")]; import("${DATA}");`,
  "later.ts": "export const l = 1;",
  "requiring.js": `import dep from "dual"; export default dep;`,
  "secret.json": "{}",
  "plugins/one.js": "export {};",
  "plugins/.hidden.js": "",
  "a?b.js": "",
  ".config/x.js": "",
  "key.pem": "",
  "node_modules/addon/package.json": "{}",
  "node_modules/addon/build/x.node": "",
  "node_modules/dual/package.json": `{ "main": "./lib/index.js" }`,
  "node_modules/dual/lib/package.json": "{}",
  "node_modules/dual/lib/index.js": `require("./data.json");`,
  "node_modules/dual/lib/data.json": `{"a":1}`,
  "node_modules/dual/extra.json": "{}",
  "node_modules/dual/native.node": "",
  "node_modules/dual/locale/de.js": "",
  "node_modules/dual/node_modules/inner/index.js": "",
  "node_modules/lazy/package.json": `{ "main": "./index.js" }`,
  "node_modules/lazy/index.js": "",
  "node_modules/lazy/more.js": "",
  "node_modules/unused/package.json": "{}",
  "node_modules/unused/index.js": "",
  "node_modules/unused/.secret.js": "",
  "node_modules/unused/data.json": "{}",
  "node_modules/@scope/one/index.js": "",
  "node_modules/.bin/tool": "",
  "outside-link.js": "→ /etc/hostname",
});
const outside = temporaryTree({
  "other.js": "",
  "data.json": "{}",
  "package.json": "{}",
  ".env": "",
  "folder/plugin.js": "",
  "folder/.git/hook.js": "",
});

function decide(request: ModuleRequest, context: ServedContext, rules: ModuleRules) {
  return decideRequest(request, context, rules, (...args) => resolveByRules(rules, ...args));
}

/** A context that has the graph of `top.ts`. */
async function served(): Promise<ServedContext> {
  const context = new ServedContext(NODE);
  const graph = new ModuleGraph(new RuledModules(new ModuleRules(), new Compiler()));
  for (const record of await graph.closure(at("top.ts"), NODE, () => false)) {
    context.note(record);
    context.sent.add(record.id);
  }
  return context;
}

async function answer(
  parent: string,
  specifier: string,
  kind: ImportKind = "import",
  rules = new ModuleRules(),
): Promise<string> {
  const found = decide({ parentId: at(parent), specifier, kind }, await served(), rules);
  if ("refused" in found) return found.refused;
  if ("provided" in found) return `provided ${found.provided}`;
  return "builtin" in found ? found.builtin : found.id.replace(at(""), "").replace(outside(""), "<outside>/");
}

const DUAL = "node_modules/dual/lib/index.js";
const OUTSIDE = "it is outside the packages in use, or hidden";
const CHARACTERS = "the specifier has characters that are not allowed";
const NO_URL = "it is not a file: URL of this machine";
const LENGTH = "the specifier is empty or too long";
const LEAVES = "it leaves its package";

type Request = [parent: string, specifier: string, answer: string, kind?: "require"];

const requests: Request[] = [
  ["shared.ts", "./later.ts", "later.ts"],
  ["top.ts", "./plugins/one.js", "plugins/one.js"],
  ["top.ts", at("plugins/one.js"), "plugins/one.js"],
  ["top.ts", "./plugins/../plugins/one.js", "plugins/one.js"],
  ["top.ts", "./plugins/../plugins/one.js", "plugins/one.js", "require"],
  [DUAL, "../locale/de", "node_modules/dual/locale/de.js", "require"],
  [DUAL, "../extra.json", "node_modules/dual/extra.json", "require"],
  [DUAL, "../../", OUTSIDE, "require"],
  ["top.ts", "dual/locale/de.js", "node_modules/dual/locale/de.js"],
  ["top.ts", "dual", DUAL],
  // A sent module names this one, but its package is not in use yet.
  ["shared.ts", "lazy", "node_modules/lazy/index.js"],
  ["shared.ts", "lazy/more.js", OUTSIDE],
  ["top.ts", "./secret.json", "it is not code"],
  ["top.ts", "./key.pem", "it is not code"],
  ["top.ts", "./plugins/.hidden.js", OUTSIDE],
  ["top.ts", "./.config/x.js", OUTSIDE],
  ["top.ts", "./node_modules/unused/index.js", OUTSIDE],
  ["top.ts", "unused", OUTSIDE],
  ["top.ts", "unused", OUTSIDE, "require"],
  ["top.ts", "#other", OUTSIDE],
  // The answer does not reveal whether an unused package is installed.
  ["top.ts", "missing", OUTSIDE],
  ["top.ts", "missing", OUTSIDE, "require"],
  ["top.ts", "unused/none.js", OUTSIDE],
  ["top.ts", ".bin/tool", OUTSIDE, "require"],
  ["top.ts", ".bin/none", OUTSIDE, "require"],
  ["top.ts", "dual/none.js", "it does not resolve: ERR_MODULE_NOT_FOUND"],
  [DUAL, "../node_modules/inner/index.js", OUTSIDE, "require"],
  ["top.ts", "./outside-link.js", OUTSIDE],
  ["top.ts", "/etc/shadow", OUTSIDE],
  ["top.ts", "/etc/shadow", OUTSIDE, "require"],
  ["top.ts", "../../../../etc/shadow", OUTSIDE],
  ["top.ts", "./../../.env", OUTSIDE, "require"],
  // A URL would end at the question mark.
  ["top.ts", "./a?b/../../../../../../etc/hostname", OUTSIDE, "require"],
  ["top.ts", "./a#b/../../../../../../etc/none", OUTSIDE, "require"],
  ["top.ts", "./a?b.js", "a%3Fb.js", "require"],
  ["top.ts", outside("other.js"), OUTSIDE],
  ["top.ts", outside("missing.js"), OUTSIDE],
  ["top.ts", outside(".env"), OUTSIDE],
  ["top.ts", "file:///../../etc/x.js", NO_URL, "require"],
  ["top.ts", "file://host/etc/x.js", NO_URL],
  ["top.ts", "//host/etc/x.js", NO_URL],
  ["top.ts", "dual/../../secret.json", LEAVES, "require"],
  ["top.ts", "dual//locale/de.js", LEAVES, "require"],
  ["top.ts", "..", OUTSIDE, "require"],
  ["top.ts", "./%2e%2e/x.js", CHARACTERS],
  ["top.ts", "./%2E%2E/%2e%2e/etc/shadow", CHARACTERS],
  ["top.ts", "./plugins%2Fone.js", CHARACTERS],
  ["top.ts", "./plugins%5Cone.js", CHARACTERS],
  ["top.ts", "./%00.js", CHARACTERS],
  ["top.ts", ".\\x.js", CHARACTERS],
  ["top.ts", "./%zz.js", CHARACTERS],
  ["top.ts", "./x\n.js", CHARACTERS],
  ["top.ts", " file:///etc/x.js", CHARACTERS],
  ["top.ts", "./%ff.js", NO_URL],
  ["top.ts", "./plugins/one.js?n=1", "plugins/one.js"],
  ["top.ts", "./x\0.js", CHARACTERS],
  ["top.ts", "http://example.com/x.js", "only file: URLs are served"],
  ["top.ts", "https:example.com/x.js", "only file: URLs are served"],
  ["top.ts", "data:text/javascript,1", "only file: URLs are served"],
  ["shared.ts", DATA, DATA],
  ["shared.ts", `${DATA};2`, "only file: URLs are served"],
  ["top.ts", "FILE:///etc/x.js", "only file: URLs are served"],
  ["top.ts", "mitogen:parent-role", "only file: URLs are served"],
  ["top.ts", "provided:unused", "only file: URLs are served"],
  ["top.ts", "node:fs", "node:fs"],
  ["top.ts", "fs", "node:fs"],
  ["top.ts", "#os", "node:os"],
  ["top.ts", "mitogen", "mitogen"],
  ["top.ts", OWN_INDEX, OUTSIDE],
  ["top.ts", `./${"x".repeat(1_000)}`, LENGTH],
  ["top.ts", "x".repeat(1_000_000), LENGTH],
  ["top.ts", "", LENGTH],
  ["top.ts", "./plugins/none.js", "it does not resolve: ERR_MODULE_NOT_FOUND"],
  ["top.ts", "addon/build/x.node", OUTSIDE],
  [DUAL, "../native.node", "native addons do not travel", "require"],
  ["requiring.js", "./../x", OUTSIDE, "require"],
];
for (const [parent, specifier, expected, kind] of requests) {
  const name = specifier.replace(at(""), "<app>/").replace(outside(""), "<outside>/").slice(0, 40);
  test(`decideRequest answers ${kind ?? "import"} of ${JSON.stringify(name)} in ${parent}: ${expected}`, async () => {
    assert.equal(await answer(parent, specifier, kind), expected);
  });
}

test("decideRequest refuses a parent module that was not sent to the context, or that is unknown", async () => {
  const rules = new ModuleRules();
  const refused = { refused: "the requesting module was not sent to this context" };
  const kind = "import";
  const stranger = new ServedContext(NODE);
  assert.deepEqual(
    decide({ parentId: at("top.ts"), specifier: "./later.ts", kind }, stranger, rules),
    refused,
  );
  for (const parentId of [
    outside("other.js"),
    at("later.ts"),
    "",
    "mitogen:parent-role",
    "x".repeat(9_999),
  ]) {
    assert.deepEqual(decide({ parentId, specifier: "./other.js", kind }, await served(), rules), refused);
  }
});

const allowances: [pattern: string | URL | RegExp, specifier: string, answer: string][] = [
  ["unused", "unused", "node_modules/unused/index.js"],
  ["unused", "./node_modules/unused/index.js", "node_modules/unused/index.js"],
  ["unused", "unused/data.json", "node_modules/unused/data.json"],
  ["unused", "unused/none.js", "it does not resolve: ERR_MODULE_NOT_FOUND"],
  ["unused", "unused/.secret.js", OUTSIDE],
  ["unused", "./node_modules/unused/.secret.js", OUTSIDE],
  ["unused", "@scope/one/index.js", OUTSIDE],
  ["@scope/*", "@scope/one/index.js", "node_modules/@scope/one/index.js"],
  ["@scope/one", "@scope/one/index.js", "node_modules/@scope/one/index.js"],
  [outside("other.js"), outside("other.js"), "<outside>/other.js"],
  [new URL(outside("data.json")), outside("data.json"), "<outside>/data.json"],
  [outside("other.js"), outside("folder/plugin.js"), OUTSIDE],
  [outside("folder/"), outside("folder/plugin.js"), "<outside>/folder/plugin.js"],
  [outside("folder/"), outside("folder/../other.js"), OUTSIDE],
  [outside("folder/"), outside("folder/.git/hook.js"), OUTSIDE],
  [outside(""), outside(".env"), OUTSIDE],
  [/\/folder\/[a-z]+\.js$/g, outside("folder/plugin.js"), "<outside>/folder/plugin.js"],
  [/./, "addon/build/x.node", "native addons do not travel"],
  [/./, "./key.pem", "it is not code"],
];
for (const [pattern, specifier, expected] of allowances) {
  const name = [pattern, specifier].map((each) => String(each).replace(outside(""), "<outside>/"));
  test(`decideRequest after allow(${name[0]}) answers ${name[1]}: ${expected}`, async () => {
    const rules = new ModuleRules();
    rules.allow([pattern]);
    for (let again = 0; again < 2; again++) {
      assert.equal(await answer("top.ts", specifier, "import", rules), expected);
    }
  });
}

test("decideRequest lets deny win over allow, over named modules and over the module's own package", async () => {
  const cases: [pattern: string | RegExp, specifier: string][] = [
    ["unused", "unused"],
    ["dual", "dual"],
    [at("plugins/"), "./plugins/one.js"],
    [/one\.js$/, "./plugins/one.js"],
    ["app", "./later.ts"],
  ];
  for (const [pattern, specifier] of cases) {
    const rules = new ModuleRules();
    rules.allow(["unused", "dual", "app", /./]);
    rules.deny([pattern]);
    const text = pattern instanceof RegExp ? String(pattern) : JSON.stringify(pattern);
    assert.equal(
      await answer("top.ts", specifier, "import", rules),
      `the program's rule deny(${text}) forbids it`,
      specifier,
    );
  }
});

test("decideRequest answers with the name of a package that the target provides, whatever is installed here", async () => {
  const rules = new ModuleRules();
  rules.provide(["unused", "@scope/*", /^lib-/]);
  assert.equal(await answer("top.ts", "unused/sub.js", "import", rules), "provided unused/sub.js");
  assert.equal(await answer("top.ts", "@scope/x", "require", rules), "provided @scope/x");
  assert.equal(await answer("top.ts", "lib-x", "require", rules), "provided lib-x");
  assert.equal(await answer("top.ts", "unused/../x", "require", rules), LEAVES);
});

test("decideRequest serves a text from override, even if there is no file", async () => {
  const rules = new ModuleRules();
  rules.override(at("virtual.js"), "export {};");
  rules.override(outside("virtual.json"), "{}");
  assert.equal(await answer("top.ts", "./virtual.js", "import", rules), "virtual.js");
  assert.equal(await answer("top.ts", outside("virtual.json"), "import", rules), "<outside>/virtual.json");
});

test("decideRequest answers with Node's error if a sent module names a specifier that leads nowhere", async () => {
  const context = await served();
  const rules = new ModuleRules();
  const ask = (specifier: string, parent: string) =>
    decide({ parentId: at(parent), specifier, kind: "import" }, context, rules);
  const codes = ["absent", "data:text/plain,x"].map((specifier) => {
    const found = ask(specifier, "shared.ts");
    return "refused" in found ? found.error?.code : found;
  });
  assert.deepEqual(codes, ["ERR_MODULE_NOT_FOUND", "ERR_UNKNOWN_MODULE_FORMAT"]);
  // Another module does not name the specifier, so nothing is revealed.
  assert.deepEqual(ask("absent", "top.ts"), { refused: "it is outside the packages in use, or hidden" });
});
