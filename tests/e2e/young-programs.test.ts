/** What a program loads. */
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
import { repoRoot } from "../support/lab.ts";
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

/** A folder in which `mitogen` can be imported, with a cache of its own. */
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

  /** How many drafts are kept. */
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

test("import loads two files of this library, no package, and hardly anything of Node's", async (t) => {
  const { builtins, atImport } = await new Scratch(t).load();
  assert.deepEqual(atImport, AT_IMPORT);
  const heavy = ["net", "child_process", "worker_threads", "zlib", "crypto", "inspector", "stream"];
  assert.deepEqual(
    heavy.filter((name) => builtins.includes(name)),
    [],
  );
});

test("A class that is exported has the name that it has in the sources", async (t) => {
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
