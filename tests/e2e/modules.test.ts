import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Context, type FunctionRef, Router, ref } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { isFull, isQuick } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { temporaryTree } from "../support/temporary-tree.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const MODULES = isFull ? 600 : isQuick ? 60 : 200;
const DELAY_MS = 1000;
const ROUND_TRIP_MS = 2 * DELAY_MS;

const folder = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-modules-")));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return pathToFileURL(join(folder, name)).href;
}

write("package.json", `{ "type": "module" }`);

/** A function whose module imports all others, level by level. None compresses to much less than 1 KiB. */
function largeGraph(): FunctionRef<[], number> {
  for (let i = 0; i < MODULES; i++) {
    const children = [2 * i + 1, 2 * i + 2].filter((child) => child < MODULES);
    const noise = Array.from({ length: 80 }, (_, n) => Math.sin(i * 1000 + n)).join();
    write(
      `m${i}.js`,
      [
        ...children.map((child) => `import { count as c${child} } from "./m${child}.js";`),
        `export const count = ${["1", ...children.map((child) => `c${child}`)].join(" + ")};`,
        `export const noise = [${noise}];`,
        "export const total = () => count;",
      ].join("\n"),
    );
  }
  return ref<() => number>(pathToFileURL(join(folder, "m0.js")), "total");
}

/** A stand-in for ssh that runs the remote command here, with every byte delayed in both directions. */
function slowSsh(): string {
  const proxy = join(repoRoot, "tests/support/delay-proxy.mjs");
  const path = fileURLToPath(
    write(
      "ssh",
      `#!/bin/sh\nfor last do :; done\nexec "${process.execPath}" "${proxy}" --delay-ms ${DELAY_MS} -- sh -c "$last"\n`,
    ),
  );
  chmodSync(path, 0o755);
  return path;
}

it(`over a slow link a call into a graph of ${MODULES} modules takes one round trip, also through two hops`, async () => {
  const total = largeGraph();
  await using router = new Router();
  // Reads and compiles the modules in this process first, so that this is not measured.
  const near = await router.local();
  assert.equal(await near.call(total), MODULES);

  const far = await router.ssh({ hostname: "slow", sshPath: slowSsh(), nodePath: process.execPath });
  const middle = await router.local({ via: far });
  const end = await router.local({ via: middle });
  const beside = await router.local({ via: middle });
  const timed = async (context: Context): Promise<{ trips: number; bytes: number }> => {
    const before = router.getStats().bytesSent;
    const started = Date.now();
    assert.equal(await context.call(total), MODULES);
    const trips = Math.floor((Date.now() - started) / ROUND_TRIP_MS);
    return { trips, bytes: router.getStats().bytesSent - before };
  };
  const first = await timed(end);
  assert.equal(first.trips, 1);
  assert.ok(first.bytes > MODULES * 500, `${first.bytes} bytes`);
  // Only names and hashes are sent, because a hop on the way already has the modules.
  for (const context of [beside, middle, far]) {
    const { trips, bytes } = await timed(context);
    assert.equal(trips, 1);
    assert.ok(bytes < MODULES * 150, `${bytes} bytes`);
  }
  assert.equal(router.modules.stats.requestCount, 0);
});

it("a changed module runs in new contexts, while old ones behind the same hop keep theirs", async () => {
  const changing = write("changing.js", `export { value } from "./one.js";`);
  write("one.js", "export const value = () => 1;");
  write("two.js", "export const value = () => 2;");
  const value = ref<() => number>(changing, "value");
  await using router = new Router();
  const hop = await router.local();
  const old = await router.local({ via: hop });
  assert.equal(await old.call(value), 1);
  write("changing.js", `export { value } from "./two.js";`);
  router.modules.invalidate(changing);
  const fresh = await router.local({ via: hop });
  assert.equal(await fresh.call(value), 2);
  assert.equal(await old.call(value), 1);
  assert.equal(await hop.call(value), 2);
});

it("the program's rules (override, modify, deny, allow) apply in contexts", async () => {
  const given = write("given.js", "export const value = () => 'file';");
  const asking = write(
    "asking.js",
    `import { value } from "./given.js"; export { value };
     export const load = async (specifier) => (await import(specifier)).default;`,
  );
  const elsewhere = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-elsewhere-")));
  try {
    writeFileSync(join(elsewhere, "plugin.mjs"), "export default 'plugin';");
    const plugin = pathToFileURL(join(elsewhere, "plugin.mjs")).href;
    const load = ref<(specifier: string) => Promise<string>>(asking, "load");
    await using router = new Router();
    router.modules
      .override(given, "export const value = () => 'given';")
      .modify(given, (source) => source.replace("'given'", "'given and modified'"));
    const context = await router.local();
    assert.equal(await context.call(ref<() => string>(asking, "value")), "given and modified");
    await assert.rejects(context.call(load, plugin), { code: "ERR_MODULE_NOT_FOUND" });
    assert.equal(router.modules.explain(plugin).state, "refused");
    router.modules.allow(new URL("./", plugin));
    assert.equal(await context.call(load, plugin), "plugin");
    assert.deepEqual(
      router.modules.explain(plugin).sentTo.map(({ contextId }) => contextId),
      [context.contextId],
    );
    router.modules.deny(given);
    const other = await router.local();
    await assert.rejects(other.call(load, plugin), { name: "ModuleError", code: "ERR_MODULE_DENIED" });
    assert.equal(await other.call(remote.add, 1, 1), 2);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});

it("a call of a forwarded function sends no more modules", async () => {
  await using router = new Router();
  const context = await router.local();
  const forwardMissing = async (): Promise<void> =>
    await router.modules.forward(context, new URL("./no-such.ts", import.meta.url));
  await assert.rejects(forwardMissing, (error: Error & { code: string }) => {
    assert.match(error.stack as string, /no such file\n +at (async )?forwardMissing \(.*modules\.test/);
    return error.code === "ERR_MODULE_NOT_FOUND";
  });
  await router.modules.forward(context, remote.add);
  const { moduleCount } = router.modules.stats;
  assert.ok(moduleCount > 0);
  assert.equal(await context.call(remote.add, 1, 1), 2);
  assert.equal(router.modules.stats.moduleCount, moduleCount);
  await context.shutdown();
  await router.modules.forward(context, remote.add);
});

it("two modules with the same text are separate in a process, a thread, and a thread behind a process", async () => {
  const text = "let calls = 0;\nexport const count = () => ++calls;\n";
  const counts = ["same-a.js", "same-b.js"].map((name) =>
    ref<() => number>(new URL(write(name, text)), "count"),
  );
  await using router = new Router();
  const local = await router.local();
  for (const context of [local, await router.thread(), await router.thread({ via: local })]) {
    for (const count of counts) assert.equal(await context.call(count), 1, context.name);
  }
});

it("takes a provided package from the target's disk, even when the program is in the context's working directory", async () => {
  const at = temporaryTree({
    "package.json": "{}",
    "node_modules/own/index.js": "module.exports = 'of the target';",
    "tasks.mjs": `
      import own from "own";
      import { createRequire } from "node:module";
      const require = createRequire(import.meta.url);
      export const report = () => [own, require("own"), require.resolve("own"), import.meta.resolve("own")];`,
  });
  await using router = new Router();
  router.modules.provided("own");
  const context = await router.local();
  await context.call(ref("global", "process.chdir"), fileURLToPath(at("")));
  const file = at("node_modules/own/index.js");
  const expected = ["of the target", "of the target", fileURLToPath(file), file];
  assert.deepEqual(await context.call(ref<() => string[]>(at("tasks.mjs"), "report")), expected);
});

it("evaluates a module that is named through a link where it is, once", async () => {
  const at = temporaryTree({
    "package.json": "{}",
    "store/pk/node_modules/pk/package.json": "{}",
    "store/pk/node_modules/pk/tasks.mjs": `
      import { name } from "dep";
      let count = 0;
      export const next = () => [name, ++count, import.meta.url];`,
    "store/pk/node_modules/dep/index.js": "exports.name = 'dep';",
    "node_modules/pk": "→ ../store/pk/node_modules/pk",
    "main.mjs": `export { next } from "pk/tasks.mjs";`,
  });
  const link = at("node_modules/pk/tasks.mjs");
  const file = at("store/pk/node_modules/pk/tasks.mjs");
  await using router = new Router();
  const context = await router.local();
  await router.modules.forward(context, ref(link, "next"));
  assert.deepEqual(await context.call(ref<() => unknown>(link, "next")), ["dep", 1, file]);
  const handle = await context.import<{ next(): unknown }>(link);
  assert.deepEqual(await handle.next(), ["dep", 2, file]);
  assert.deepEqual(await context.call(ref<() => unknown>(at("main.mjs"), "next")), ["dep", 3, file]);
});
