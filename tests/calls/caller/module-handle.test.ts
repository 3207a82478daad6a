import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, it, test } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { importModule } from "../../../src/calls/caller/module-handle.ts";
import {
  CallError,
  ChannelError,
  type Context,
  ModuleError,
  Router,
  ref,
  TimeoutError,
} from "../../../src/index.ts";
import { dispatchCalls, FakeFunctions } from "../../support/fake-functions.ts";
import { connect, FakeRouter } from "../../support/fake-tree.ts";
import { nodes, skipReason } from "../../support/lab.ts";
import { checkLeaks } from "../../support/leak-check.ts";
import { temporaryTree } from "../../support/temporary-tree.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

type Loose = Record<string, (...args: unknown[]) => Promise<unknown>>;
type Tasks = typeof import("../../fixtures/remote/handle.ts");
const TASKS = new URL("../../fixtures/remote/handle.ts", import.meta.url.replace("/build/tests/", "/tests/"));

const at = temporaryTree({
  "package.json": `{ "type": "module" }`,
  "throws.ts": `export function never() {}\n\nthrow new RangeError("while it is evaluated");`,
  "late.mjs": `export const f = () => "late"; await new Promise((resolve) => setTimeout(resolve, 20));`,
  "stuck.mjs": `export const f = () => 1; await new Promise(() => setInterval(() => {}, 60_000));`,
  "broken.ts": `import "./nowhere.ts";`,
  "syntax.ts": "export const = 1;",
  "native.ts": `import addon from "addon"; export const f = () => addon;`,
  "thenable.mjs": `export const toString = () => "own"; export const ok = () => 1; export { ok as __proto__, ok as constructor };`,
  "then.cjs": `exports.then = () => 1; exports.ok = () => 2;`,
  "then.mjs": `export const then = () => 1; export const ok = () => 2;`,
  "reads.mjs": `import { resource } from "mitogen";
    export const own = () => resource(import.meta, "./reads.mjs", { encoding: "utf8" });`,
  "nothing.mjs": "export const one = 1;",
  "many.mjs": Array.from({ length: 25 }, (_, i) => `export const f${i} = () => ${i};`).join("\n"),
  "function.cjs": `module.exports = (a) => a + 1; module.exports.twice = (a) => a * 2;`,
  "exports.cjs": `exports.one = () => 1; Object.defineProperty(exports, "lazy", { enumerable: true, get: () => () => "lazy" });
    Object.defineProperty(exports, "broken", { enumerable: true, get() { throw new Error("no"); } });`,
  "asks.ts": `import type { Context } from "mitogen";
    export async function ask(context: Context, url: string): Promise<unknown> {
      const tasks: any = await context.import(url);
      return [await tasks.f(), await tasks.g().catch((error: Error) => error.message)];
    }`,
  "node_modules/addon/package.json": "{}",
  "node_modules/addon/index.js": `module.exports = require("./build/x.node");`,
  "node_modules/addon/build/x.node": "",
});

for (const major of [12, 18, 26]) {
  describe(`Context.import on Node ${major}, and behind it`, { skip: skipReason() }, () => {
    let router: Router;
    let near: Context;
    let far: Context;
    before(async () => {
      router = new Router();
      near = await router.local({ nodePath: nodes[major] as string, name: "near" });
      far = await router.local({ nodePath: nodes[major] as string, name: "far", via: near });
    });
    after(() => router.shutdown());

    it("returns functions, static methods and the default export, and imports nothing here", async () => {
      for (const context of [far, near]) {
        const tasks = await context.import<Tasks>(TASKS);
        assert.equal(await tasks.add(2, 3), 5);
        assert.equal(await tasks.add(2), 3);
        assert.equal(await tasks.echo("x"), "x");
        assert.equal(await tasks.arrow("a", "b"), "a-b");
        assert.equal(await tasks.default(), "default");
        assert.equal(await tasks.Tasks.backup("/srv"), "tasks:/srv");
        assert.equal(await tasks.Tasks.inherited(), "inherited by Tasks");
        assert.equal(await tasks.Tasks.Deep.down(), "down");
        assert.equal(await tasks.outer(), "outer");
        assert.equal(await tasks.outer.inner(), "inner");
        assert.equal(await (await context.import<Tasks>(TASKS.href)).add(1), 2);
      }
      assert.equal("handleModuleLoaded" in globalThis, false);
    });
    it("rejects a misspelt name with the existing names", async () => {
      const tasks = (await near.import(TASKS)) as unknown as Loose & { Tasks: Loose };
      const names = "add, echo, arrow, fail, hang, Tasks, outer, default".split(", ").sort();
      await assert.rejects(tasks.ad?.() as Promise<unknown>, (error: Error) => {
        assert.ok(error instanceof TypeError);
        const [, text, shown = ""] = /^(.*; it exports )(.*)$/.exec(error.message) ?? [];
        assert.equal(text, `ad is not a function exported by ${TASKS}; it exports `);
        assert.deepEqual(shown.split(", ").sort(), names);
        return true;
      });
      await assert.rejects(tasks.NAME?.() as Promise<unknown>, /^TypeError: NAME is not a function/);
      await assert.rejects(tasks.Tasks.backupp?.() as Promise<unknown>, {
        name: "TypeError",
        message: `Tasks.backupp is not a function exported by ${TASKS}; Tasks has backup, Deep, inherited`,
      });
    });
    it("is not thenable, and shows its functions", async () => {
      const tasks = await near.import<Tasks>(TASKS);
      assert.equal(await tasks, tasks);
      assert.equal("add" in tasks, true);
      assert.equal("ad" in tasks, false);
      assert.match(inspect(tasks), /add: \[Function: add\]/);
      assert.equal(JSON.stringify(tasks), `{"Tasks":{"Deep":{}}}`);
      const odd = (await near.import(at("thenable.mjs"))) as Loose;
      assert.equal(await odd.toString?.(), "own");
      for (const name of ["ok", "__proto__", "constructor"]) assert.equal(await odd[name]?.(), 1);
      for (const module of [at("then.cjs"), at("then.mjs")]) {
        const then = (await near.import(module)) as Loose;
        assert.equal(then.then, undefined);
        assert.equal(await then.ok?.(), 2);
        assert.equal(await far.call(ref(module, "ok")), 2);
      }
    });
    it("rejects with the error of a function, with stack and call site", async () => {
      const tasks = await near.import<Tasks>(TASKS);
      await assert.rejects(callFail(tasks), (error: CallError) => {
        assert.ok(error instanceof CallError);
        assert.equal(error.code, "E_HANDLE");
        const lines = (error.stack as string).split("\n").map((line) => line.trim());
        assert.match(
          lines[1] as string,
          /at (?:Module\.|Object\.)?fail \(.*fixtures\/remote\/handle\.ts:18:/,
        );
        const site = lines.indexOf(`at [${near.name}]`);
        assert.match(lines[site + 1] as string, /at callFail \(/);
        return true;
      });
      await assert.rejects(tasks.echo((() => 1) as never), TypeError);
    });
    it("rejects when the module throws, with its line", async () => {
      for (const _ of [1, 2]) {
        await assert.rejects(near.import(at("throws.ts")), (error: CallError) => {
          assert.ok(error instanceof CallError);
          assert.equal(error.message, "RangeError: while it is evaluated");
          assert.match(error.stack as string, /throws\.ts:3:7/);
          return true;
        });
      }
    });
    it("reads CommonJS: a function as default, its properties, getters", async () => {
      const fn = (await near.import(at("function.cjs"))) as Loose;
      assert.equal(await fn.default?.(1), 2);
      assert.equal(await fn.twice?.(4), 8);
      const plain = (await near.import(at("exports.cjs"))) as Loose;
      assert.deepEqual(Object.keys(plain), ["one", "lazy"]);
      assert.deepEqual([await plain.one?.(), await plain.lazy?.()], [1, "lazy"]);
      assert.deepEqual(Object.keys(await near.import(at("nothing.mjs"))), []);
    });
    it("works from one context to another", async () => {
      writeFileSync(fileURLToPath(at("shared.mjs")), `export const f = () => "f of shared";`);
      const ask = ref<(context: Context, url: string) => Promise<unknown>>(at("asks.ts"), "ask");
      // The program has used this module, so a context may import it. It cannot name a module of its choice.
      await near.import(at("shared.mjs"));
      assert.deepEqual(await near.call(ask, far, at("shared.mjs")), [
        "f of shared",
        `g is not a function exported by ${at("shared.mjs")}; it exports f`,
      ]);
      await assert.rejects(near.call(ask, far, "file:///etc/passwd"), /Cannot/);
    });
  });
}

async function callFail(tasks: { fail(message: string): Promise<never> }): Promise<void> {
  await tasks.fail("no");
}

describe("Context.import", () => {
  let router: Router;
  let context: Context;
  before(async () => {
    router = new Router();
    context = await router.local({ name: "ctx" });
  });
  after(() => router.shutdown());

  it("waits for top-level await", async () => {
    const late = (await context.import(at("late.mjs"))) as unknown as { f(): Promise<string> };
    assert.equal(await late.f(), "late");
  });
  it("refuses anything but an absolute file: URL, with the cure", async () => {
    for (const [module, cure] of [
      ["lodash", 'import.meta.resolve("lodash")'],
      ["./tasks.ts", 'new URL("./tasks.ts", import.meta.url)'],
      ["/srv/tasks.ts", 'new URL("./tasks.ts", import.meta.url)'],
      ["node:os", "context.call()"],
      ["file://host/x.ts", "absolute file: URL"],
      ["data:text/javascript,1", "absolute file: URL"],
    ] as const) {
      await assert.rejects(context.import(module), (error: Error) => {
        assert.ok(error instanceof TypeError);
        assert.ok(
          error.message.startsWith(`Cannot import "${module}" into ${context.name}: `),
          error.message,
        );
        assert.ok(error.message.includes(cure), error.message);
        return true;
      });
    }
  });
  it("rejects when the module cannot be sent, and nothing is sent", async () => {
    await assert.rejects(context.import(at("broken.ts")), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(context.import(at("syntax.ts")), { code: "ERR_MODULE_COMPILE" });
    await assert.rejects(context.import(at("no-such-file.ts")), {
      name: "ModuleError",
      code: "ERR_MODULE_NOT_FOUND",
      message: `Cannot send ${at("no-such-file.ts")}: there is no such file`,
    });
    await assert.rejects(context.import(at("native.ts")), (error: ModuleError) => {
      assert.equal(error.code, "ERR_MODULE_NATIVE");
      const chain = `${fileURLToPath(at("native.ts"))} → addon/index.js → addon/build/x.node`;
      assert.ok(error.message.includes(`/addon/build/x.node to another context: ${chain}; `), error.message);
      assert.match(error.message, /provided by the target/);
      return true;
    });
  });
  it("ends by timeout or signal, and so do the calls of with()", async () => {
    const short = { timeoutMs: 50 };
    const stuck = await router.local({ name: "stuck" });
    await assert.rejects(stuck.import(at("stuck.mjs"), short), {
      name: "TimeoutError",
      message: `Cannot import ${at("stuck.mjs")} into stuck: no answer within 50 ms`,
    });
    const tasks = await context.import<Tasks>(TASKS, { timeoutMs: 60_000 });
    await assert.rejects(tasks.with(short).hang(), TimeoutError);
    const abort = new AbortController();
    const hung = tasks.with({ signal: abort.signal }).hang();
    abort.abort(new Error("enough"));
    await assert.rejects(hung, /enough/);
    assert.equal(await tasks.with({ timeoutMs: 60_000 }).Tasks.backup("x"), "tasks:x");
    await assert.rejects(context.import(TASKS, { signal: abort.signal }), /enough/);
  });
  it("works in a thread", async () => {
    const thread = await router.thread();
    const tasks = await thread.import<Tasks>(TASKS);
    assert.equal(await tasks.add(2, 3), 5);
    const readsItself = (await thread.import(at("reads.mjs"))) as Loose;
    assert.match(String(await readsItself.own?.()), /^import \{ resource \}/);
    await thread.shutdown();
  });
  it("shows some of many names", async () => {
    const many = (await context.import(at("many.mjs"))) as unknown as { f99(): Promise<void> };
    await assert.rejects(many.f99(), /it exports f0, .*f\d+ and 5 more$/);
    const nothing = (await context.import(at("nothing.mjs"))) as unknown as { f(): Promise<void> };
    await assert.rejects(nothing.f(), /it exports no functions$/);
  });
  it("and its functions reject when the context is gone", async () => {
    const gone = await router.local();
    const tasks = await gone.import<Tasks>(TASKS);
    await gone.shutdown();
    await assert.rejects(tasks.add(1), ChannelError);
    await assert.rejects(gone.import(TASKS), ChannelError);
  });
});

test("importModule accepts only lists of names from a child", async () => {
  const master = new FakeRouter({ contextId: 0 });
  const child = new FakeRouter({ contextId: 1, parentIds: [0] });
  const { context } = connect(master, child);
  master.functions = new FakeFunctions();
  let answer: unknown;
  dispatchCalls(child, { moduleFunctions: () => answer as never });
  const deep = Array.from({ length: 9 }, () => "x");
  for (answer of [null, "f", [["f"], "g"], [[1]], [deep], { 0: ["f"] }, [[["f"]]]]) {
    await assert.rejects(importModule(context, "file:///m.js", {}), { code: "ERR_PROTOCOL" });
  }
  answer = [["__proto__"], ["__proto__", "polluted"], ["then"], ["constructor", "prototype"], []];
  const handle = (await importModule(context, "file:///m.js", {})) as Record<string, unknown>;
  assert.equal(Object.getPrototypeOf(handle), Object.prototype);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.equal(handle.then, undefined);
  assert.equal(typeof handle.default, "function");
});
