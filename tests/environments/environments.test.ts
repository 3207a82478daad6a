import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { nodes, repoRoot, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { npmFixture } from "../support/npm-fixture.ts";

checkLeaks();

const LIMIT_MS = 240_000;
const NO_COLORS = {
  NO_COLOR: "1",
  FORCE_COLOR: "0",
  NEXT_TELEMETRY_DISABLED: "1",
  TS_NODE_TRANSPILE_ONLY: "1",
};

interface Ended {
  readonly code: number | null;
  /** stdout and stderr together. */
  readonly output: string;
}

/** The rows of docs/environments.md, each a real program with the packed library installed beside it. */
describe("environments", { skip: skipReason(), concurrency: 2, timeout: 2 * LIMIT_MS }, () => {
  let folder = "";
  before(async () => {
    const fixture = await npmFixture("environments", ["programs"], []);
    assert.ok("folder" in fixture, JSON.stringify(fixture));
    folder = fixture.folder;
    const library = join(folder, "node_modules/mitogen");
    rmSync(library, { recursive: true, force: true });
    for (const name of ["dist", "package.json"])
      cpSync(join(repoRoot, name), join(library, name), { recursive: true });
  });

  const installed = (path: string): string => join(folder, "node_modules", path);
  const bun = (): string => installed("@oven/bun-linux-x64/bin/bun");
  const deno = (): string => installed("@deno/linux-x64-glibc/deno");

  /** Runs a command in the folder of a program. */
  function run(
    program: string,
    argv: readonly string[],
    o: { input?: string; env?: Record<string, string>; cwd?: string } = {},
  ): Promise<Ended> {
    const { NODE_TEST_CONTEXT, NODE_V8_COVERAGE, ...env } = process.env;
    Object.assign(env, NO_COLORS, o.env);
    // Bun and Deno look for node in PATH.
    env["PATH"] = [dirname(process.execPath), env["PATH"]].join(delimiter);
    const [command, ...args] = argv as [string, ...string[]];
    const child = spawn(command, args, {
      cwd: o.cwd ?? join(folder, "programs", program),
      env,
      timeout: LIMIT_MS,
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => undefined).end(o.input);
    return ended(child);
  }

  const node = (program: string, args: readonly string[], o = {}): Promise<Ended> =>
    run(program, [process.execPath, ...args], o);

  async function succeeds(running: Promise<Ended>): Promise<string> {
    const { code, output } = await running;
    assert.equal(code, 0, output);
    return output;
  }

  it("Vitest: functions of modules and of the test file are called", async () => {
    const output = await succeeds(node("vitest", [installed("vitest/vitest.mjs"), "run"]));
    assert.match(output, /Tests +8 passed/);
  });

  it("Jest with ES modules", async () => {
    const output = await succeeds(
      node("jest-esm", ["--experimental-vm-modules", installed("jest/bin/jest.js")]),
    );
    assert.match(output, /Tests: +1 passed/);
  });

  for (const program of ["jest-cjs", "jest-babel"]) {
    it(`Jest with CommonJS, ${program}`, async () => {
      assert.match(await succeeds(node(program, [installed("jest/bin/jest.js")])), /Tests: +1 passed/);
    });
  }

  it("mocha: functions of the test file are called, its tests do not run in the context", async () => {
    assert.match(
      await succeeds(node("mocha", [installed("mocha/bin/mocha.js"), "calls.spec.mjs"])),
      /2 passing/,
    );
  });

  it("node --test: functions of the test file are called", async () => {
    const output = await succeeds(node("node-test", ["--test", "--test-reporter=tap", "calls.test.mjs"]));
    assert.match(output, /# pass 1\n/);
  });

  it("ts-node: a guard by require.main, enums, __filename", async () => {
    assert.equal(await succeeds(node("loaders", [installed("ts-node/dist/bin.js"), "main.ts"])), "High 3\n");
  });

  it("swc-node: the same", async () => {
    const argv = ["-r", "@swc-node/register", "main.ts"];
    assert.equal(await succeeds(node("loaders", argv)), "High 3\n");
  });

  it("a worker thread calls functions of modules, and of its own file", async () => {
    const output = await succeeds(node("plain", ["worker.mjs"]));
    assert.match(
      output,
      /^add ok 5\nmethod ok 6\ndefault ok hello\nbuiltin ok true\nref ok 5\nimport ok 8\nhere ok 3\n/,
    );
  });

  const withoutFile = (where: string): RegExp =>
    new RegExp(
      `add ok 5\\nhere TypeError: .*'here'.*: it is defined ${where}; move it into a module and export it`,
    );
  const read = async (name: string): Promise<string> => {
    return await readFile(join(folder, "programs/plain", name), "utf8");
  };

  it("node -e, ES module and CommonJS", async () => {
    const where = withoutFile("in code given to node with -e");
    const module = ["--input-type=module", "-e", await read("snippet.mjs")];
    assert.match(await succeeds(node("plain", module)), where);
    assert.match(await succeeds(node("plain", ["-e", await read("snippet.cjs")])), where);
  });

  it("a script from stdin, ES module and CommonJS", async () => {
    const where = withoutFile("in a script read from stdin");
    const module = { input: await read("snippet.mjs") };
    assert.match(await succeeds(node("plain", ["--input-type=module", "-"], module)), where);
    assert.match(await succeeds(node("plain", ["-"], { input: await read("snippet.cjs") })), where);
  });

  it("the REPL", async () => {
    const text = (await read("snippet.cjs")).replaceAll("\n", " ").replace("})();", "process.exit(0) })();");
    // Its stdin stays open: at its end the REPL exits at once.
    const child = spawn(process.execPath, ["-i"], { cwd: join(folder, "programs/plain"), timeout: LIMIT_MS });
    child.stdin.write(`${text}\n`);
    assert.match(await succeeds(ended(child)), withoutFile("in the REPL"));
  });

  it("Bun: exports are called, others are refused by name", async () => {
    const output = await succeeds(run("plain", [bun(), "main.mjs"]));
    assert.match(
      output,
      /^add ok 5\nmethod ok 6\ndefault ok hello\nbuiltin ok true\nref ok 5\nimport ok 8\n/,
    );
    assert.match(
      output,
      /here TypeError: .*: Bun [\d.]+ does not tell which module exports it; name its module with ref\(/,
    );
  });

  it("Deno: references and imports work, functions are refused by name", async () => {
    const output = await succeeds(run("plain", [deno(), "run", "-A", "main.mjs"]));
    assert.match(
      output,
      /^add TypeError: .*: Deno [\d.]+ does not tell which module exports it; name its module with ref\(/,
    );
    assert.match(output, /\nbuiltin ok true\nref ok 5\nimport ok 8\n/);
  });

  it("contexts on Bun or Deno are refused by name", async () => {
    const onBun = await succeeds(node("plain", ["as-context.mjs", bun()]));
    assert.match(
      onBun,
      /the target started Bun [\d.]+, but contexts run only on Node; install node there, or pass/,
    );
    const onDeno = await succeeds(node("plain", ["as-context.mjs", deno()]));
    assert.match(
      onDeno,
      /Deno was started there, but contexts run only on Node: install node there, or pass/,
    );
  });

  it("require(mitogen) works from Node 20.19 on, and older Nodes get an error that says so", async () => {
    assert.equal(await succeeds(node("plain", ["--no-warnings", "require.cjs"])), "function\n");
    const { [18]: old = "" } = nodes;
    const output = await succeeds(run("plain", [old, "require.cjs"]));
    assert.match(
      output,
      /^ERR_REQUIRE_ESM: Cannot require\("mitogen"\) with Node 18[\d.]+: it is an ES module, which require\(\) loads from Node 20\.19 and 22\.12 on; [^\n]*\n$/,
    );
  });

  for (const version of ["typescript-5.3", "typescript"]) {
    it(`declarations with ${version}`, async () => {
      const options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--types",
        "node",
      ];
      // A tsconfig.json of this repository may be seen, so TypeScript 6 needs --ignoreConfig.
      const files = version === "typescript" ? ["--ignoreConfig", "use.ts", "commonjs.cts"] : ["use.ts"];
      assert.equal(
        await succeeds(node("typescript", [installed(`${version}/bin/tsc`), ...options, ...files])),
        "",
      );
    });
  }

  describe("bundles", { concurrency: 2 }, () => {
    let deployed = "";
    before(async () => {
      await succeeds(node("bundles", ["build.mjs", "out"]));
      // Where no package is installed, as a deployed tool.
      deployed = mkdtempSync(join(tmpdir(), "mitogen-bundles-"));
      cpSync(join(folder, "programs/bundles/out"), deployed, { recursive: true });
    });
    after(() => deployed && rmSync(deployed, { recursive: true, force: true }));

    for (const name of ["outside.mjs", "outside-minified.mjs", "outside.cjs", "rollup-outside.mjs"]) {
      it(`${name}: functions that the entry point exports are called`, async () => {
        const output = await succeeds(node("bundles", ["--no-warnings", join("out", name)]));
        assert.match(output, /^add ok 5\nhere ok 3\nunexported TypeError: .*: it is not exported; export it/);
        if (name !== "rollup-outside.mjs")
          assert.match(output, /export it from the entry point of the bundle\n/);
      });
    }
    for (const name of ["inside.cjs", "inside-minified.cjs"]) {
      it(`${name}: the same, with mitogen in the bundle and nothing installed`, async () => {
        const output = await succeeds(node("", [name], { cwd: deployed }));
        assert.match(
          output,
          /^add ok 5\nhere ok 3\nunexported TypeError: .*: it is not exported; export it from the entry/,
        );
      });
    }
    it("inside-minified.mjs: isMain() in a bundle is not recognised, and the error says so", async () => {
      const output = await succeeds(node("", ["inside-minified.mjs"], { cwd: deployed }));
      assert.match(
        output,
        /^add ModuleError: Cannot send .*: it is a bundle that contains mitogen; leave mitogen out/,
      );
    });
    it("rollup-inside.mjs: an await at the top level of a single-file bundle fails with the cure", async () => {
      const output = await succeeds(node("", ["rollup-inside.mjs"], { cwd: deployed }));
      assert.match(
        output,
        /Cannot load a part of this library: .*; do not await at the top level of a single-file bundle/,
      );
    });
  });

  for (const external of ["1", "0"]) {
    it(`Next.js ${external === "1" ? "with" : "without"} serverExternalPackages`, async () => {
      const env = { EXTERNAL: external, NODE_ENV: "production" };
      await succeeds(node("next", [installed("next/dist/bin/next"), "build"], { env }));
      const output = await succeeds(node("next", ["serve.mjs"], { env }));
      const answer = JSON.parse(output.slice(output.indexOf("{"), output.lastIndexOf("}") + 1));
      const { call, ...others } = answer;
      assert.deepEqual(others, { builtin: true, ref: 5, import: 5 });
      assert.match(
        call,
        /it is part of a bundle that Next\.js made; name it by the file .* as ref\(pathToFileURL\(/,
      );
    });
  }
});

function ended(child: ChildProcess): Promise<Ended> {
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
