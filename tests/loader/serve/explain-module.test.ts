import assert from "node:assert/strict";
import os from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { captureLogs } from "../../support/fake-log-sink.ts";
import { servedChild } from "../../support/served-child.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const at = temporaryTree({
  "package.json": `{ "type": "module", "name": "app" }`,
  "top.ts": `import "./middle.ts"; export const lazy = () => import("./lazy.ts");`,
  "middle.ts": `import pad from "pad"; export { pad };`,
  "lazy.ts": "export {};",
  "unused.ts": "export {};",
  "key.pem": "",
  "native.js": `import "addon";`,
  "node_modules/addon/package.json": "{}",
  "node_modules/addon/index.js": `module.exports = require("./x.node");`,
  "node_modules/addon/x.node": "",
  "node_modules/pad/package.json": "{}",
  "node_modules/pad/index.js": "module.exports = 1;",
  "node_modules/other/package.json": "{}",
  "node_modules/other/index.js": "",
});
const PAD = at("node_modules/pad/index.js");

test("ModuleResponder.explain describes a module that was sent: its file, format, imports and contexts", async () => {
  const served = servedChild();
  await served.prepare(at("top.ts"));
  const found = served.responder.explain(PAD);
  assert.equal(found.state, "sent");
  assert.equal(found.reason, "a function of a module that leads to it was called");
  assert.equal(found.path, fileURLToPath(PAD));
  assert.equal(found.format, "commonjs");
  assert.deepEqual(found.chain, [at("top.ts"), at("middle.ts"), PAD]);
  assert.deepEqual(found.sentTo, [{ contextId: 1, name: "child.1" }]);
  const text = String(found);
  assert.equal(inspect(found), text);
  assert.match(text, /^file:.*pad\/index\.js: sent: a function of a module that leads to it was called/);
  assert.match(text, /imported by: .*top\.ts → .*middle\.ts → pad\/index\.js$/m);
  assert.match(text, /sent to: child\.1/);
  assert.deepEqual(served.responder.explain(at("top.ts")).chain, [at("top.ts")]);
  assert.equal(served.responder.explain(at("top.ts")).reason, "a function of it was called");
});

test("ModuleResponder.explain still describes a module when its contexts are gone", async () => {
  const served = servedChild();
  await served.prepare(at("top.ts"));
  served.responder.forget(1);
  const { state, sentTo, chain } = served.responder.explain(PAD);
  assert.deepEqual([state, sentTo, chain.length], ["sent", [], 3]);
});

test("ModuleResponder.explain distinguishes modules that were forwarded, asked for and called", async () => {
  const served = servedChild();
  await served.responder.forward(served.context, at("middle.ts"));
  assert.equal(
    served.responder.explain(PAD).reason,
    "a module that leads to it was forwarded by the program",
  );
  await served.prepare(at("top.ts"));
  await served.ask(at("top.ts"), "./unused.ts");
  assert.equal(served.responder.explain(at("unused.ts")).reason, "a context asked for it");
  assert.equal(served.responder.explain(PAD).chain[0], at("top.ts"));
});

test("ModuleResponder.explain says how a request for a module that was sent to no context would be answered", async () => {
  const served = servedChild();
  const state = (id: string) => served.responder.explain(id).state;
  const reason = (id: string) => served.responder.explain(id).reason;
  assert.equal(state(at("unused.ts")), "refused");
  await served.prepare(at("top.ts"));
  assert.equal(state(at("unused.ts")), "available");
  assert.equal(reason(at("unused.ts")), "nothing has needed it so far; a context that asks for it gets it");
  const lazy = served.responder.explain(at("lazy.ts"));
  assert.equal(lazy.state, "available");
  assert.match(lazy.reason, /^a sent module names it/);
  assert.deepEqual(lazy.chain, [at("top.ts"), at("lazy.ts")]);
  const other = at("node_modules/other/index.js");
  assert.equal(state(other), "refused");
  assert.match(reason(other), /outside the packages in use, or hidden; to change that: allow\(\)$/);
  assert.equal(reason(at("key.pem")), "it is not code");
  assert.equal(reason(at("node_modules/addon/x.node")).includes("outside"), true);
  assert.equal(reason(at("nowhere.ts")), "there is no such file");
  served.responder.allow("other");
  assert.equal(state(other), "available");
});

test("ModuleResponder.explain names the rule that decides", async () => {
  const served = servedChild();
  served.responder
    .modify(/unused/, (source) => source)
    .override(at("virtual.ts"), "")
    .deny("pad")
    .provided("sharp");
  assert.deepEqual(served.responder.explain(at("unused.ts")).rules, ["modify(/unused/)"]);
  assert.deepEqual(served.responder.explain(at("virtual.ts")).rules, ["override()"]);
  assert.equal(served.responder.explain(at("virtual.ts")).state, "available");
  const denied = served.responder.explain(PAD);
  assert.deepEqual([denied.state, denied.reason], ["refused", `the program's rule deny("pad") forbids it`]);
  assert.deepEqual(denied.rules, [`deny("pad")`]);
  const provided = served.responder.explain("sharp/lib");
  assert.deepEqual([provided.state, provided.rules], ["provided", [`provided("sharp")`]]);
});

test("ModuleResponder.explain says why a call could not be served, for each module of the import chain", async () => {
  const served = servedChild();
  await assert.rejects(served.prepare(at("native.js")));
  for (const id of [at("native.js"), at("node_modules/addon/index.js"), at("node_modules/addon/x.node")]) {
    const { state, reason, chain } = served.responder.explain(id);
    assert.equal(state, "refused");
    assert.match(reason, /^Cannot send native addon .*native\.js → addon\/index\.js → addon\/x\.node/);
    assert.equal(chain.length, 3);
  }
  served.responder.override(at("native.js"), "");
  await served.prepare(at("native.js"));
  assert.equal(served.responder.explain(at("native.js")).state, "sent");
});

test("ModuleResponder.explain remembers the contexts that were refused a module", async (t) => {
  captureLogs(t, "warning");
  const served = servedChild();
  await served.prepare(at("top.ts"));
  await served.ask(at("top.ts"), "other");
  const { refusals } = served.responder.explain(at("node_modules/other/index.js"));
  assert.deepEqual(
    refusals.map(({ contextId, name }) => [contextId, name]),
    [[1, "child.1"]],
  );
  assert.match(refusals[0]?.reason ?? "", /^Cannot find module 'other' imported from .*outside the packages/);
  served.responder.forget(1);
});

test("ModuleResponder.explain takes functions, paths, packages and builtins, and never throws", async () => {
  const { responder, prepare } = servedChild();
  await prepare(at("top.ts"));
  assert.match(responder.explain(temporaryTree).id, /temporary-tree\.js$/);
  assert.equal(responder.explain(os.hostname).state, "builtin");
  assert.equal(responder.explain("node:fs").state, "builtin");
  assert.equal(responder.explain("mitogen").state, "builtin");
  assert.equal(responder.explain(fileURLToPath(PAD)).id, PAD);
  assert.equal(responder.explain(new URL(PAD)).state, "sent");
  const pad = responder.explain("pad");
  assert.deepEqual([pad.state, pad.reason], ["sent", `1 modules of this package: ${PAD}`]);
  const closure = responder.explain(() => PAD);
  assert.equal(closure.state, "refused");
  assert.match(closure.reason, /^Cannot call function/);
  for (const odd of [
    "",
    "file:",
    "file:///%ff",
    "file://host/x.js",
    "\0",
    "./x",
    "data:,1",
    "http://x/y",
    "@x",
  ]) {
    assert.equal(typeof responder.explain(odd).reason, "string", odd);
  }
});
