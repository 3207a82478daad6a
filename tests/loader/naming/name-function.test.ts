import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sampleOf } from "../../support/extent.ts";

const PROGRAMS = join("tests", "fixtures", "programs", "references");
const LOADER = new URL("../../../src/loader/naming/", import.meta.url).href;

const TASKS = {
  plain: ["tasks.ts", "plain"],
  arrow: ["tasks.ts", "arrow"],
  generate: ["tasks.ts", "generate"],
  renamed: ["tasks.ts", "renamed"],
  static: ["tasks.ts", "Shop", "open"],
  nested: ["tasks.ts", "Shop", "Till", "count"],
  staticWrapped: ["tasks.ts", "Shop", "prices"],
  inherited: ["tasks.ts", "Shop", "open"],
  wrapped: ["tasks.ts", "wrapped"],
  ownWrapped: ["tasks.ts", "ownWrapped"],
  made: ["tasks.ts", "made"],
  inEntry: ["main.ts", "inEntry"],
};
const DEFAULTS = {
  defaultNamed: ["default-named.ts", "default"],
  defaultFunction: ["default-function.ts", "default"],
  defaultArrow: ["default-arrow.ts", "default"],
  defaultClass: ["default-class.ts", "default", "m"],
  defaultWrapped: ["default-wrapped.ts", "default"],
  defaultIdentifier: ["default-identifier.ts", "default"],
  trap: ["default-wrapped.ts", "trap"],
};
const COMMONJS = {
  cjsPlain: ["commonjs/plain.cjs", "plain"],
  cjsStatic: ["commonjs/plain.cjs", "Box", "open"],
  cjsWhole: ["commonjs/whole.cjs"],
  cjsOuter: ["commonjs/outer.cjs", "inner"],
  typed: ["commonjs/typed.ts", "typed"],
  typedStatic: ["commonjs/typed.ts", "Shelf", "take"],
};
const BUILTINS = {
  hostname: ["node:os", "hostname"],
  readFile: ["node:fs", "promises", "readFile"],
  join: ["node:path", "join"],
  sleep: ["node:timers", "promises", "setTimeout"],
  existsSync: ["node:fs", "existsSync"],
  now: ["global", "Date", "now"],
  chdir: ["global", "process", "chdir"],
  performance: ["global", "performance", "now"],
  uuid: ["global", "crypto", "randomUUID"],
};
const CLASSES = {
  classExported: ["tasks.ts", "Shop"],
  classDerived: ["tasks.ts", "CornerShop"],
  classDefault: ["default-class.ts", "default"],
  classNested: ["tasks.ts", "Shop", "Till"],
  classCjs: ["commonjs/plain.cjs", "Box"],
  classUnexported:
    "TypeError: Cannot name class 'Hidden' (tasks.ts) to another process: it is not exported; export it",
  classEvaluated:
    "TypeError: Cannot name class 'Made' to another process: it is defined in code that has no file; move it into a module and export it there",
};
const METHOD_CURE = "export a function, or a static method, that takes the object's data as arguments";
const CLOSURE_CURE = "export a function of the module and pass it these as arguments";
const REFUSED = {
  refusedUnexported: refusal(
    "'unexported' (tasks.ts)",
    `in the exported object 'refused', not exported itself; export it, or ${refCure("refused.unexported")}`,
  ),
  refusedInObject: refusal(
    "'list' (tasks.ts)",
    `in the exported object 'api', not exported itself; export it, or ${refCure("api.users.list")}`,
  ),
  refusedClosure: refusal(
    "(anonymous) (tasks.ts)",
    `a closure that captured 'secret', 'token'; ${CLOSURE_CURE}, or ${refCure("refused.closure")}`,
  ),
  refusedEarly: refusal("(anonymous) (tasks.ts)", `a closure that captured 'late'; ${CLOSURE_CURE}`),
  refusedBound: refusal(
    "'bound plain'",
    "a bound function; export a function that takes what is bound as arguments",
  ),
  refusedMethod: refusal("'sell' (tasks.ts)", `an instance method, of 'Shop'; ${METHOD_CURE}`),
  refusedShorthand: refusal("'run' (tasks.ts)", `an instance method; ${METHOD_CURE}`),
  refusedConstructor: refusal(
    "'Shop' (tasks.ts)",
    "a class constructor; export a function, or a static method, that makes the object",
  ),
  refusedNative: refusal(
    "(anonymous)",
    "native code or a proxy, not a public function of Node; export a function that calls it",
  ),
  refusedEvaluated: refusal(
    "(anonymous)",
    "defined in code that has no file; move it into a module and export it there",
  ),
  refusedWrapper: refusal(
    "(anonymous) (memoize.ts)",
    `a closure that captured 'fn', 'cache'; ${CLOSURE_CURE}`,
  ),
  refusedCjs: refusal("'lost' (commonjs/plain.cjs)", "not exported; export it"),
  refusedCjsClosure: refusal(
    "(anonymous) (commonjs/plain.cjs)",
    `a closure that captured 'secret'; ${CLOSURE_CURE}`,
  ),
  refusedCjsInObject: refusal(
    "'all' (commonjs/plain.cjs)",
    `in the exported object 'lists', not exported itself; export it, or ${refCure("lists.all", "pathToFileURL(__filename)")}`,
  ),
  refusedNothing: "TypeError: Cannot call undefined in another process: it is not a function",
};

const strips = Boolean((process.features as { typescript?: unknown }).typescript);
const runs = [
  { name: "under tsx", args: ["--import", "tsx"] },
  ...(strips ? [{ name: "with Node's type stripping", args: [] }] : []), // Node 22.18 and later.
  { name: "under tsx with --inspect", args: ["--inspect=0", "--import", "tsx"] },
];

for (const { name, args } of sampleOf(3, runs)) {
  test(`nameFunction and nameClass name or refuse every kind of function and class ${name}`, () => {
    const { stdout, stderr } = run("main.ts", args, {});
    const shown = JSON.parse(stdout || "{}");
    const expected = { ...CLASSES, ...TASKS, ...DEFAULTS, ...COMMONJS, ...BUILTINS, ...REFUSED };
    for (const [label, reference] of Object.entries(expected))
      assert.deepEqual(shown[label], reference, label);
    assert.equal(Object.keys(shown).length, Object.keys(expected).length, stderr);
  });
}

for (const [fn, module, ...path] of sampleOf(4, [
  ["process.chdir", "global", "process", "chdir"],
  ["os.hostname", "node:os", "hostname"],
  ["fs.promises.readFile", "node:fs", "promises", "readFile"],
  ["util.types.isDate", "node:util", "types", "isDate"], // not by the old name that only old Nodes have
])) {
  test(`nameFunction names ${fn} if it is the first function that a process looks up`, () => {
    const program = `
      import fs from "fs"; import os from "os"; import util from "util";
      const { nameFunction } = await import("${LOADER}name-function.js");
      console.log(JSON.stringify(nameFunction(${fn})));`;
    const args = ["--input-type=module", "-e", program];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.deepEqual(JSON.parse(stdout || "{}"), { module, path }, stderr);
  });
}

test("nameFunction names a function of an entry script that Node found to be an ES module", () => {
  const directory = mkdtempSync(join(tmpdir(), "mitogen-typeless-"));
  try {
    // No type, as older releases of npm init write it. Node tries CommonJS first.
    writeFileSync(join(directory, "package.json"), "{}");
    const entry = join(directory, "entry.js");
    writeFileSync(
      entry,
      `// entry.js
       export function work() {}
       function lost() {}
       const { nameFunction } = await import("${LOADER}name-function.js");
       const named = (fn) => { try { return nameFunction(fn).path.join(); } catch ({ message }) { return message.split("it is ")[1]; } };
       console.log([work, lost, () => 1].map(named).join("|"));`,
    );
    const { stdout, stderr } = spawnSync(process.execPath, [entry], { encoding: "utf8" });
    const inline = "not exported; give it a name at the top level of the module, and export it";
    assert.deepEqual(stdout.trim().split("|"), ["work", "not exported; export it", inline], stderr);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("warmUpNames has no visible effect, and leaves less to the first look-up", () => {
  const { status, stdout, stderr } = run("warm.mjs", [], {});
  assert.equal(stdout.trim(), '{"module":"warm.mjs","path":["work"]}', stderr);
  assert.equal(status, 0);
});

test("nameFunction leaves block coverage on when NODE_V8_COVERAGE asks for it", () => {
  const directory = mkdtempSync(join(tmpdir(), "mitogen-coverage-"));
  try {
    const { status, stderr } = run("coverage.mjs", [], { NODE_V8_COVERAGE: directory });
    assert.equal(status, 0, stderr);
    const [file] = readdirSync(directory);
    const { result } = JSON.parse(readFileSync(join(directory, file ?? ""), "utf8"));
    const script = result.find((one: { url: string }) => one.url.endsWith("coverage.mjs"));
    const later = script.functions.find((one: { functionName: string }) => one.functionName === "later");
    assert.equal(later.isBlockCoverage, true);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("nameFunction keeps neither the process nor the functions it looked at alive", () => {
  const { status, stdout, stderr } = run("idle.mjs", ["--expose-gc"], {});
  assert.equal(stdout.trim(), "collected", stderr);
  assert.equal(status, 0);
});

test("nameFunction says what is missing if there is no inspector", () => {
  const { stdout } = run("no-inspector.mjs", [], {});
  assert.equal(
    stdout.trim(),
    "Error: Cannot find the module of a function: this node was built or started without its inspector",
  );
});

function refCure(path: string, url = "import.meta.url"): string {
  return `refer to it with ref(${url}, "${path}") in its file`;
}

function refusal(what: string, why: string): string {
  return `TypeError: Cannot call function ${what} in another process: it is ${why}`;
}

function run(program: string, args: string[], env: Record<string, string>): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [...args, join(PROGRAMS, program)], {
    encoding: "utf8",
    timeout: 240_000,
    env: { ...process.env, LOADER, TYPED: "1", NODE_OPTIONS: "", ...env },
  });
}
