import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import { ref } from "../../../src/functions/ref.ts";
import { Handle } from "../../../src/wire/handles.ts";
import { isFull, isQuick } from "../../support/extent.ts";
import { captureLogs, printed } from "../../support/fake-log-sink.ts";
import { connect, FakeRouter } from "../../support/fake-tree.ts";
import { servedChild as newServedChild, type Served, shout } from "../../support/served-child.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

const at = temporaryTree({
  "package.json": `{ "type": "module", "name": "app" }`,
  "top.ts": `import "./shared.ts"; export const lazy = () => import("./lazy.ts");`,
  "other.ts": `import "./shared.ts";`,
  "shared.ts": "export const s: number = 1;",
  "lazy.ts": `import "./behind.ts";`,
  "behind.ts": "export {};",
  "plugin.js": "export {};",
  "changing.js": `export * from "./shared.ts";`,
  "broken.js": "export const = 1;",
  "importing-broken.js": `import "./nowhere.js";`,
  "secret.json": "{}",
  "native.js": `import "addon";`,
  "node_modules/addon/package.json": "{}",
  "node_modules/addon/index.js": `module.exports = require("./x.node");`,
  "node_modules/addon/x.node": "",
  "node_modules/extra/package.json": `{ "type": "module" }`,
  "node_modules/extra/index.js": "export {};",
});
const TOP = at("top.ts");

function short(ids: readonly string[]): string[] {
  return ids.map((id) => id.replace(at(""), ""));
}

const opened: Served[] = [];
function servedChild(options?: Parameters<typeof newServedChild>[0]): Served {
  const child = newServedChild(options);
  opened.push(child);
  return child;
}
// Their counts would otherwise be logged in a later test.
afterEach(() => {
  for (const { responder } of opened.splice(0)) for (const id of [1, 2]) responder.forget(id);
});

/** Adds a second context of the same Node version, a child of the first. */
function addGrandchild({ child, master, responder }: Served) {
  const grandchild = new FakeRouter({ contextId: 2, parentIds: [1, 0] });
  connect(child, grandchild);
  const peer = master.peerOf(1);
  assert.ok(peer !== undefined && master.addRoute(2, peer));
  const context = master.introduce(2, "child.1.child.2", master.contextById(1));
  responder.addTarget(2, "22.0.0");
  return { grandchild, context };
}

test("ModuleResponder sends a graph in one batch, each module once, and nothing for a second call", async () => {
  const served = servedChild();
  await served.prepare(TOP);
  assert.deepEqual(short(served.sent()), ["shared.ts", "top.ts"]);
  assert.equal(served.batches.length, 1);
  assert.equal(served.responder.prepare(served.context, { module: TOP, path: [] }), undefined);
  await served.prepare(at("other.ts"));
  assert.deepEqual(short(served.sent()), ["shared.ts", "top.ts", "other.ts"]);
});

test("ModuleResponder joins simultaneous calls that need the same modules", async () => {
  const served = servedChild();
  await Promise.all([TOP, TOP, at("other.ts"), TOP].map(served.prepare));
  assert.deepEqual(short(served.sent()).sort(), ["other.ts", "shared.ts", "top.ts"]);
});

test("ModuleResponder answers each of several simultaneous equal requests, and sends their modules once", async (t) => {
  const records = captureLogs(t, "warning");
  const served = servedChild();
  await served.prepare(TOP);
  const answers = await Promise.all(Array.from({ length: 20 }, () => served.ask(TOP, "./lazy.ts")));
  assert.deepEqual(new Set(answers), new Set([at("lazy.ts")]));
  assert.deepEqual(short(served.sent()), ["shared.ts", "top.ts", "behind.ts", "lazy.ts"]);
  assert.deepEqual(printed(records), []);
});

test("ModuleResponder answers a repeated request, and logs a WARNING", async (t) => {
  const records = captureLogs(t, "warning");
  const served = servedChild();
  await served.prepare(TOP);
  for (let again = 0; again < 3; again++) assert.equal(await served.ask(TOP, "./lazy.ts"), at("lazy.ts"));
  assert.equal(await served.ask(TOP, "./plugin.js"), at("plugin.js"));
  assert.deepEqual(printed(records), [
    `warning: Answered a repeated request of child.1: './lazy.ts' imported from ${TOP}`,
  ]);
  assert.deepEqual(
    short(served.sent()).filter((id) => id === "lazy.ts"),
    ["lazy.ts"],
  );
  assert.equal(served.responder.stats.duplicateCount, 2);
  served.responder.forget(1);
  assert.match(records.at(-1)?.message ?? "", /… and 1 more/);
});

test("ModuleResponder serves a module by its id to a context that has a module which names it", async () => {
  const served = servedChild();
  assert.deepEqual(await served.ask(TOP, ""), [
    `Cannot find module '${TOP}': no module sent to this context, or to one above it, names it`,
    "ERR_MODULE_NOT_FOUND",
  ]);
  await served.prepare(TOP);
  assert.equal(await served.ask(TOP, ""), TOP);
  assert.equal(await served.ask(at("lazy.ts"), ""), at("lazy.ts"));
  const [, code] = (await served.ask(at("plugin.js"), "")) as string[];
  assert.equal(code, "ERR_MODULE_NOT_FOUND");
});

test("ModuleResponder serves modules by id if a context above has them, but not if only other contexts do", async () => {
  const served = servedChild();
  const { grandchild } = addGrandchild(served);
  const ask = (id: string) => grandchild.contextById(0).request(Handle.GET_MODULE, [id, "", "import"]);
  const stranger = new FakeRouter({ contextId: 3, parentIds: [0] });
  connect(served.master, stranger);
  served.responder.addTarget(3, "22.0.0");
  await served.prepare(TOP);
  assert.equal(await ask(TOP), TOP);
  assert.equal(await ask(at("lazy.ts")), at("lazy.ts"));
  const [reason] = (await stranger
    .contextById(0)
    .request(Handle.GET_MODULE, [TOP, "", "import"])) as string[];
  assert.match(reason ?? "", /names it$/);
});

test("ModuleResponder decides by the modules that a context was sent, not by those of others", async () => {
  const served = servedChild();
  const stranger = new FakeRouter({ contextId: 3, parentIds: [0] });
  connect(served.master, stranger);
  served.responder.addTarget(3, "22.0.0");
  await served.prepare(TOP);
  const answer = await stranger.contextById(0).request(Handle.GET_MODULE, [TOP, "./lazy.ts", "import"]);
  assert.match((answer as string[])[0] ?? "", /was not sent to this context$/);
});

test("ModuleResponder reports why a requested module cannot be sent, with the code", async () => {
  const served = servedChild();
  await served.prepare(TOP);
  const code = async (specifier: string, kind: "import" | "require" = "import") =>
    ((await served.ask(TOP, specifier, kind)) as string[])[1];
  assert.equal(await code("./importing-broken.js"), "ERR_MODULE_NOT_FOUND");
  assert.equal(await code("./importing-broken.js", "require"), "MODULE_NOT_FOUND");
  assert.equal(await code("./native.js"), "ERR_MODULE_NATIVE");
  served.responder.deny(at("shared.ts"));
  assert.equal(await code("./changing.js"), "ERR_MODULE_DENIED");
});

test("ModuleResponder sends a second context behind a hop only the hashes of modules that the hop has", async () => {
  const served = servedChild();
  const { context } = addGrandchild(served);
  await served.prepare(TOP);
  const bytes = served.wire.left.sent.length;
  await served.responder.prepare(context, { module: TOP, path: [] });
  const [first, second] = served.batches;
  assert.deepEqual(
    second?.[1].map(([id, hash, packed]) => [id, hash, packed]),
    first?.[1].map(([id, hash]) => [id, hash, null]),
  );
  assert.equal(second?.[0], 2);
  assert.equal(served.wire.left.sent.length, bytes + 1);
});

test("ModuleResponder.originalStack cuts a stack that is longer than contexts send", () => {
  const { responder, context } = servedChild();
  assert.equal(responder.originalStack(`${"s".repeat(100_000)}`, context).length, 100_000);
  assert.equal(responder.originalStack("\n".repeat(5_000_000), context), `${"\n".repeat(100_000)}…`);
});

test("ModuleResponder splits a batch that is larger than a message may be", async () => {
  const files: Record<string, string> = { "package.json": `{ "type": "module" }` };
  const random = (seed: number) =>
    Array.from({ length: 2_000 }, (_, i) => Math.sin(seed * 9_999 + i).toString(36)).join("");
  for (let i = 0; i < 12; i++) files[`m${i}.js`] = `export default "${random(i)}";`;
  files["all.js"] = Array.from({ length: 12 }, (_, i) => `import "./m${i}.js";`).join("");
  const tree = temporaryTree(files);
  const served = servedChild({ maxMessageBytes: 65_536 });
  await served.prepare(tree("all.js"));
  assert.equal(served.sent().length, 13);
  assert.ok(served.batches.length > 1);
  assert.equal(served.responder.stats.batchCount, served.batches.length);
  for (const { body } of served.wire.left.sent) {
    assert.ok(body.reduce((sum, piece) => sum + piece.length, 0) <= 65_536);
  }
});

test("ModuleResponder refuses a module that is too large for one message before it sends anything", async () => {
  const noise = Buffer.from(Array.from({ length: 80_000 }, (_, i) => (Math.sin(i) * 1e6) & 255));
  const tree = temporaryTree({
    "package.json": `{ "type": "module" }`,
    "big.js": `export default "${noise.toString("base64")}";`,
    "top.js": `import "./small.js"; import "./big.js";`,
    "small.js": "",
  });
  const served = servedChild({ maxMessageBytes: 65_536 });
  await assert.rejects(served.prepare(tree("top.js")), {
    code: "ERR_MODULE_TOO_LARGE",
    message:
      /^Cannot send module file:.*big\.js: \d+ bytes compressed exceed maxMessageBytes 65536; raise it/,
  });
  assert.deepEqual(served.batches, []);
});

test("ModuleResponder.forward sends modules and their imports before they are needed", async () => {
  const served = servedChild();
  await served.responder.forward(served.context, [TOP, new URL(at("plugin.js")), ref(at("lazy.ts"), "x")]);
  const expected = ["shared.ts", "top.ts", "plugin.js", "behind.ts", "lazy.ts"];
  assert.deepEqual(short(served.sent()).sort(), expected.sort());
  await served.responder.forward(served.context, [TOP, "node:fs"]);
  assert.equal(served.sent().length, 5);
  assert.equal(served.responder.prepare(served.context, { module: TOP, path: [] }), undefined);
});

test("ModuleResponder.forward takes a single function, and rejects if a module cannot be sent", async () => {
  const served = servedChild();
  await served.responder.forward(served.context, temporaryTree);
  assert.match(served.sent().at(-1) ?? "", /temporary-tree\.js$/);
  await assert.rejects(served.responder.forward(served.context, at("native.js")), {
    code: "ERR_MODULE_NATIVE",
  });
  await assert.rejects(served.responder.forward(served.context, "./native.js"), {
    name: "TypeError",
    message: /Cannot name a module by ".\/native.js"/,
  });
  await assert.rejects(served.responder.forward(served.context, Object.create(null)), {
    name: "TypeError",
    message: /Cannot name a module by an object: it must be a file: URL/,
  });
});

test("ModuleResponder.forward to a context that is gone or unknown is dropped with a DEBUG line", async (t) => {
  const records = captureLogs(t);
  const served = servedChild();
  const foreign = servedChild();
  await served.responder.forward(foreign.context, TOP);
  served.responder.forget(1);
  await served.responder.forward(served.context, [TOP, at("plugin.js")]);
  assert.deepEqual(
    printed(records).filter((line) => /Dropped/.test(line)),
    [
      "debug: Dropped 1 modules for child.1: no such context",
      "debug: Dropped 2 modules for child.1: no such context",
    ],
  );
  assert.deepEqual(served.batches, []);
});

test("ModuleResponder.invalidate: new contexts get the changed file, old ones keep theirs, hashes tell them apart", async () => {
  const tree = temporaryTree({
    "package.json": `{ "type": "module" }`,
    "changing.js": `export * from "./one.js";`,
    "one.js": "export const v = 1;",
    "two.js": "export const v = 2;",
  });
  const served = servedChild();
  const { context } = addGrandchild(served);
  await served.prepare(tree("changing.js"));
  writeFileSync(new URL(tree("changing.js")), `export * from "./two.js";`);
  served.responder.invalidate(tree("changing.js"));
  assert.equal(
    served.responder.prepare(served.context, { module: tree("changing.js"), path: [] }),
    undefined,
  );
  await served.responder.prepare(context, { module: tree("changing.js"), path: [] });
  const [old, changed] = served.batches.map(([, modules]) => modules);
  assert.deepEqual(
    changed?.map(([id]) => id.slice(-11)),
    ["two.js", "changing.js"].map((end) => tree(end).slice(-11)),
  );
  assert.notEqual(old?.find(([id]) => id.endsWith("changing.js"))?.[1], changed?.at(-1)?.[1]);
  assert.equal(served.source(tree("changing.js")), `export * from "./two.js";`);
});

test("ModuleResponder.invalidate without a change costs the second context nothing", async () => {
  const served = servedChild();
  const { context } = addGrandchild(served);
  await served.prepare(TOP);
  served.responder.invalidate();
  await served.responder.prepare(context, { module: TOP, path: [] });
  assert.deepEqual(
    served.batches[1]?.[1].map(([, , packed]) => packed),
    [null, null],
  );
});

test("ModuleResponder.override and modify change what is sent later, only for this router", async () => {
  const served = servedChild();
  const { context } = addGrandchild(served);
  await served.prepare(TOP);
  served.responder
    .override(at("shared.ts"), "export const s = 'given';")
    .modify("app", (source) => source.replace("lazy =", "late ="));
  await served.responder.prepare(context, { module: TOP, path: [] });
  assert.match(served.source(at("shared.ts")), /given/);
  assert.match(served.source(TOP), /late =/);
  const other = servedChild();
  await other.prepare(TOP);
  assert.match(other.source(TOP), /lazy =/);
});

test("ModuleResponder answers with the name of a package that the target provides", async () => {
  const served = servedChild();
  served.responder.provided("sharp");
  await served.prepare(TOP);
  assert.equal(await served.ask(TOP, "sharp/lib/x.js"), "provided:sharp/lib/x.js");
});

test("ModuleResponder refuses hostile requests of every kind, and keeps working", async (t) => {
  const records = captureLogs(t, "warning");
  // All are one burst, however slow the machine is.
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const served = servedChild();
  await served.prepare(TOP);
  const specifiers = [
    ...[
      "/etc/shadow",
      "../../../../../../etc/shadow",
      "%2e%2e/%2e%2e/etc/shadow",
      "./%2e%2e/x.js",
      "..\\x.js",
    ],
    ...["file:///etc/shadow", "file://host/etc/shadow", "http://x/y.js", "data:text/javascript,1", "extra"],
    ...["./secret.json", "./x\0.js", "__proto__", "constructor", "x".repeat(1_001), "."],
  ];
  for (const kind of ["import", "require"] as const) {
    for (const specifier of specifiers) {
      const answer = (await served.ask(TOP, specifier, kind)) as string[];
      assert.equal(answer[1], kind === "import" ? "ERR_MODULE_NOT_FOUND" : "MODULE_NOT_FOUND", specifier);
    }
  }
  const malformed: unknown[] = [
    null,
    7,
    [],
    [TOP],
    [TOP, 1, "import"],
    [TOP, "x", "eval"],
    { 0: TOP },
    [[TOP], "", ""],
  ];
  for (const body of malformed) shout(served, body);
  shout(served, new Uint8Array(100));
  shout(served, [TOP, "./y".repeat(200_000), "import"]);
  assert.equal(await served.ask(TOP, "./plugin.js"), at("plugin.js"));
  const { refusedCount, requestCount } = served.responder.stats;
  assert.equal(refusedCount, specifiers.length * 2 + malformed.length + 2);
  assert.equal(requestCount, refusedCount + 1);
  assert.equal(records.length, 1, printed(records).join("\n"));
  served.responder.forget(1);
  assert.match(
    records.at(-1)?.message ?? "",
    /… and \d+ more, the last: a module request of \d+ bytes is too long$/,
  );
  assert.deepEqual(short(served.sent()), ["shared.ts", "top.ts", "plugin.js"]);
});

test("ModuleResponder bounds the pending requests of one context, and serves the others", async (t) => {
  captureLogs(t, "warning");
  const files: Record<string, string> = { "package.json": `{ "type": "module" }`, "top.js": "" };
  // Repeated requests count too.
  const count = isQuick ? 100 : 1_100;
  for (let i = 0; i < count; i++) files[`p${i}.js`] = "";
  const tree = temporaryTree(files);
  const served = servedChild();
  const { context, grandchild } = addGrandchild(served);
  await served.prepare(tree("top.js"));
  await served.responder.prepare(context, { module: tree("top.js"), path: [] });
  const answers = Array.from({ length: 1_100 }, (_, i) => served.ask(tree("top.js"), `./p${i % count}.js`));
  const other = grandchild.contextById(0).request(Handle.GET_MODULE, [tree("top.js"), "./p1.js", "import"]);
  assert.equal(await other, tree("p1.js"));
  const refused = (await Promise.all(answers)).filter(Array.isArray);
  assert.equal(refused.length, 100);
  assert.match(refused[0]?.[0], /too many requests at once$/);
  // When they are answered, there is room again.
  assert.equal(await served.ask(tree("top.js"), `./p${count - 1}.js`), tree(`p${count - 1}.js`));
  served.responder.forget(1);
});

/** With longer names, fewer requests would leave as much. A name of a thousand characters would be refused. */
const [FLOOD, NAME_LENGTH] = isFull ? [20_000, 400] : isQuick ? [5_000, 950] : [9_000, 900];
test("A flood of requests leaves nothing behind in the master", async (t) => {
  captureLogs(t, "warning");
  const served = servedChild();
  await served.prepare(TOP);
  const flood = async (from: number, count: number) => {
    const asked: Promise<unknown>[] = [];
    for (let i = from; i < from + count; i++) {
      const name = `flood-${i}-${"x".repeat(NAME_LENGTH)}`;
      const [specifier, kind] = [
        [`./${name}.js`, "import"],
        [name, "require"],
        [`${at("plugin.js")}?${name}`, "import"],
        [`./${name}/../plugin.js`, "require"],
      ][i % 4] as [string, "import" | "require"];
      asked.push(served.ask(TOP, specifier, kind));
    }
    await Promise.all(asked);
    // The recorded frames are the test's own memory.
    served.wire.left.sent.length = 0;
    served.wire.right.sent.length = 0;
  };
  const heap = async () => {
    const { gc } = await collector();
    gc();
    return process.memoryUsage().heapUsed;
  };
  await flood(0, FLOOD / 5);
  const before = await heap();
  await flood(FLOOD / 5, FLOOD);
  const grown = (await heap()) - before;
  // The names take 8 MB (5 MB in a quick run). Code that the engine compiles meanwhile takes less.
  assert.ok(grown < (isQuick ? 4_000_000 : 5_000_000), `${grown} bytes`);
  served.responder.forget(1);
});

async function collector(): Promise<{ gc: () => void }> {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  return { gc: runInNewContext("gc") as () => void };
}

test("ModuleResponder.stats counts modules, bytes, batches, requests and the time of compiling", async (t) => {
  captureLogs(t, "warning");
  const served = servedChild();
  await served.prepare(TOP);
  await served.ask(TOP, "./lazy.ts");
  await served.ask(TOP, "/etc/shadow");
  const { moduleBytes, compileMs, ...counts } = served.responder.stats;
  assert.deepEqual(counts, {
    ...{ moduleCount: 4, batchCount: 2 },
    ...{ requestCount: 2, refusedCount: 1, duplicateCount: 0 },
  });
  const bytes = served.batches.flatMap(([, modules]) => modules.map((each) => each[2]?.length ?? 0));
  assert.equal(
    moduleBytes,
    bytes.reduce((sum, each) => sum + each, 0),
  );
  assert.ok(Number.isInteger(compileMs) && compileMs >= 0);
  served.responder.forget(1);
});
