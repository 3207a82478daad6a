/** What a program loads, and what it caches for its next run. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { sampleOf, takesLong } from "../support/extent.ts";
import { nodes, repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { runProgram } from "../support/run-program.ts";

checkLeaks();

interface Loaded {
  readonly builtins: string[];
  readonly atImport: string[];
  readonly atEnd: string[];
  readonly value: unknown;
}

const PROGRAMS = join(repoRoot, "tests/fixtures/programs/e2e");
const AT_IMPORT = ["dist/chunk.js", "dist/index.js"];
const AT_END = ["dist/chunk.js", "dist/graphs.js", "dist/index.js", "dist/start-here.js"];

/** In a run that is not full, once is enough. */
const AGAIN = sampleOf(2, ["first", "second"]);

/** A folder in which `mitogen` can be imported, and which has its own cache. */
class Scratch {
  readonly folder: string = realpathSync(mkdtempSync(join(tmpdir(), "mitogen-young-")));

  constructor(t: TestContext) {
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
    mkdirSync(join(this.folder, "node_modules"));
    symlinkSync(repoRoot, join(this.folder, "node_modules/mitogen"));
    for (const name of ["young.mjs", "loaded-files.mjs"]) {
      copyFileSync(join(PROGRAMS, name), join(this.folder, name));
    }
  }

  /** How many drafts are in the cache. */
  get keptCount(): number {
    const modules = join(this.folder, "cache/mitogen/modules");
    return existsSync(modules) ? readdirSync(modules).length : 0;
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** What a program prints. */
  async run(name: string, args: string[] = [], env: Record<string, string> = {}): Promise<string> {
    const all = { XDG_CACHE_HOME: join(this.folder, "cache"), MITOGEN_CACHE: "", ...env };
    const program = runProgram(join(this.folder, name), { args, cwd: this.folder, env: all });
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  async load(args: string[] = [], env: Record<string, string> = {}): Promise<Loaded> {
    return JSON.parse(await this.run("young.mjs", args, env)) as Loaded;
  }
}

test("An exported class has its name of the sources", async (t) => {
  const scratch = new Scratch(t);
  scratch.write(
    "names.mjs",
    `import * as library from "mitogen";
     const classes = Object.entries(library).filter(([, value]) => /^class\\b/.test(String(value)));
     console.log(classes.length > 20, ...classes.filter(([name, value]) => value.name !== name).flat());
     console.log(new library.ModuleError("ERR_MODULE_ENTRY", "x").stack.split("\\n")[0]);`,
  );
  assert.equal(await scratch.run("names.mjs"), "true\nModuleError: x");
});

test("import needs few descriptors", { skip: process.platform === "win32" }, (t) => {
  const { folder } = new Scratch(t);
  const script = 'ulimit -n 26; exec "$0" --input-type=module -e \'import "mitogen"; console.log(1)\'';
  const options = {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  } as const;
  const { stdout, stderr } = spawnSync("sh", ["-c", script, process.execPath], options);
  assert.deepEqual([stdout, stderr], ["1\n", ""]);
});

test("import loads two files of this library, no package and few modules of Node; a second run does not parse the entry script again", async (t) => {
  const scratch = new Scratch(t);
  const first = await scratch.load();
  assert.deepEqual(first.atImport, AT_IMPORT);
  const heavy = ["net", "child_process", "worker_threads", "zlib", "crypto", "inspector", "stream"];
  assert.deepEqual(
    heavy.filter((name) => first.builtins.includes(name)),
    [],
  );
  assert.deepEqual([first.atEnd, first.value], [["acorn", ...AT_END], true]);
  assert.equal(scratch.keptCount, 1);
  const second = await scratch.load();
  assert.deepEqual([second.atEnd, second.value], [AT_END, true]);
  assert.equal(scratch.keptCount, 1);
  // The cache is not used with MITOGEN_CACHE=off, and when no folder can be made.
  for (const env of sampleOf(2, [{ MITOGEN_CACHE: "off" }, { XDG_CACHE_HOME: "", HOME: "/dev/null" }])) {
    const { atEnd } = await scratch.load([], env as Record<string, string>);
    assert.deepEqual([atEnd, scratch.keptCount], [["acorn", ...AT_END], 1]);
  }
});

test("A second run does not lower modules for an old Node again", {
  skip: nodes[12] === undefined,
}, async (t) => {
  const scratch = new Scratch(t);
  const runs = [await scratch.load([nodes[12] as string]), await scratch.load([nodes[12] as string])];
  assert.deepEqual(
    runs.map(({ atEnd, value }) => [atEnd.filter((name) => !name.startsWith("dist/")), value]),
    [
      [["acorn", "esbuild"], true],
      [[], true],
    ],
  );
});

test("The cache depends on the text of a module and on the tsconfig.json around it", {
  skip: takesLong,
}, async (t) => {
  const scratch = new Scratch(t);
  // What a class field means depends on the target of a tsconfig.json.
  scratch.write(
    "tasks.ts",
    `class Base { get kind(): string { return "accessor"; } set kind(_: string) {} }
     class Derived extends Base { kind = "field"; }
     export const kind = (): string => new Derived().kind + "1";`,
  );
  scratch.write(
    "main.mjs",
    `import { ref, runWithRouter } from "mitogen";
     const kind = ref(new URL("./tasks.ts", import.meta.url), "kind");
     await runWithRouter(async (router) => console.log(await (await router.local()).call(kind)));`,
  );
  const run = (): Promise<string> => scratch.run("main.mjs");
  scratch.write("package.json", '{ "type": "module" }');
  for (const _ of AGAIN) assert.equal(await run(), "field1");
  for (const [compilerOptions, kind] of sampleOf(2, [
    [{ target: "es2020" }, "accessor1"],
    [{}, "field1"],
  ])) {
    scratch.write("tsconfig.json", JSON.stringify({ compilerOptions }));
    for (const _ of AGAIN) assert.equal(await run(), kind);
  }
  scratch.write("tasks.ts", `export const kind = (): string => "2";`);
  for (const _ of AGAIN) assert.equal(await run(), "2");
});

test("A script that cannot be sent fails in the same way in a second run", { skip: takesLong }, async (t) => {
  const scratch = new Scratch(t);
  scratch.write(
    "main.mjs",
    `import { Router } from "mitogen";
     export function own() {}
     const router = new Router();
     const context = await router.local();
     const { name, code, message } = await context.call(own).catch((error) => error);
     console.log(name, code, message);
     await router.shutdown();`,
  );
  const first = await scratch.run("main.mjs");
  assert.match(
    first,
    /^ModuleError ERR_MODULE_ENTRY Cannot send .*main\.mjs.*would run 'const router = new Router/,
  );
  assert.equal(scratch.keptCount, 1);
  assert.equal(await scratch.run("main.mjs"), first);
});

test("The options of a first connect are read at once, and functions of Node that a program replaces later are not used", async (t) => {
  const scratch = new Scratch(t);
  scratch.write(
    "connecting.mjs",
    `import childProcess from "node:child_process";
    import os from "node:os";
    import { runWithRouter } from "mitogen";
    await runWithRouter(async (router) => {
      const options = {};
      const connects = ["first", "second"].map((name) => router.local(Object.assign(options, { name })));
      const contexts = await Promise.all(connects);
      console.log(contexts.map(({ name }) => name).join());
      await contexts[0].call(os.hostname);
      childProcess.spawn = () => { throw new Error("replaced"); };
      console.log(await (await router.local()).call(os.arch));
    });`,
  );
  assert.equal(await scratch.run("connecting.mjs"), `first,second\n${process.arch}`);
});
