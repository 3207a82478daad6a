import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isQuick, sampleOf, takesLong } from "../support/extent.ts";
import { repoRoot } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { npmEnv } from "../support/npm-env.ts";
import { runTypeScript } from "../support/run-typescript.ts";

checkLeaks();

/** A class as a value and as a type, generic ones, subclasses, functions with overloads, and types. */
const REQUIRED = `
import mitogen = require("mitogen");
import { type LocalOptions, Receiver, Router, Service, TimeoutError } from "mitogen";

class Own extends Service {}
export async function main(options: LocalOptions): Promise<number> {
  const router: mitogen.Router = new Router();
  const context: mitogen.Context = await router.local(options);
  const receiver: Receiver<string> = new mitogen.Receiver<string>(router);
  const text: string = (await receiver.get()).decode();
  const error: unknown = new TimeoutError("late");
  if (error instanceof mitogen.MitogenError) console.log(error.code, text, Own);
  // @ts-expect-error: an option that does not exist
  await router.local({ nodePaht: "" });
  return await context.call(Math.max, 1, 2);
}
`;

describe("The public API, in the packed package", { timeout: 300_000 }, () => {
  let folder: string;
  const execute = (command: string, args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: folder,
      env: npmEnv(),
      encoding: "utf8",
    });
    assert.equal(status, 0, stdout + stderr);
    return stdout;
  };
  const unpack = (target: string): void => {
    if (isQuick) {
      // npm takes a second. These are what the programs need of the package.
      for (const name of ["package.json", "dist"])
        cpSync(join(repoRoot, name), join(target, name), { recursive: true });
      return;
    }
    const packed = execute("npm", ["pack", repoRoot, "--ignore-scripts", "--json", "--loglevel=error"]);
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    execute("tar", ["-xzf", filename, "-C", target, "--strip-components=1"]);
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "mitogen-public-api-"));
    const modules = join(folder, "node_modules");
    mkdirSync(join(modules, "mitogen"), { recursive: true });
    unpack(join(modules, "mitogen"));
    // Its dependencies, and what a TypeScript program has; no registry is asked.
    for (const name of ["acorn", "esbuild", "picocolors", "picomatch", "@types", "undici-types", "tsx"]) {
      symlinkSync(join(repoRoot, "node_modules", name), join(modules, name));
    }
    writeFileSync(join(folder, "package.json"), '{ "name": "scratch", "private": true, "type": "module" }');
    for (const name of ["public-api.ts", "fleet-api.ts"]) {
      copyFileSync(join(repoRoot, "tests/fixtures/programs/package", name), join(folder, name));
    }
    writeFileSync(join(folder, "required.cts"), REQUIRED);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Compiles the programs; the declarations are checked as well. */
  const compile = (options: object, include: readonly string[]): void => {
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: false, exactOptionalPropertyTypes: true },
      ...{ target: "es2023", lib: ["es2023", "esnext.disposable"], types: ["node"], ...options },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include }));
    execute(process.execPath, [join(repoRoot, "node_modules/typescript/bin/tsc"), "-p", folder]);
  };
  const imports = ["public-api.ts", "fleet-api.ts"];

  it("compiles with module nodenext, with types for import and require()", { skip: takesLong }, () => {
    compile({ module: "nodenext", moduleResolution: "nodenext" }, [...imports, "required.cts"]);
  });
  it("compiles with moduleResolution bundler", { skip: takesLong }, () => {
    compile({ module: "preserve", moduleResolution: "bundler" }, imports);
  });
  it("has types for require(), with module node16", { skip: takesLong }, () => {
    compile({ module: "node16", moduleResolution: "node16" }, ["required.cts"]);
  });

  for (const [name, printed] of sampleOf(2, [
    ["public-api.ts", "every name is there"],
    ["fleet-api.ts", "the fleet has worked"],
  ] as const)) {
    it(`runs ${name}`, async () => {
      const { code, stdout, stderr } = await runTypeScript(join(folder, name), [], folder);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, `${printed}\n`);
    });
  }
});
