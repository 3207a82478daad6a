import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { lab, repoRoot, skipReason } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { npmEnv } from "../support/npm-env.ts";
import { runProgram } from "../support/run-program.ts";
import { sshTo } from "../support/ssh-options.ts";

checkLeaks();

const LOG_LINE = /^\d\d:\d\d:\d\d I mitogen\.ctx\.\S+: stdout: Hello from remote context!\n$/;

// Needs the registry to install dependencies. Where the lab is, the registry can be reached.
describe("the packed package, installed in a folder of its own", {
  skip: skipReason(),
  timeout: 300_000,
}, () => {
  let folder: string;
  const npm = (...args: string[]): string =>
    execFileSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
      // A registry that does not answer must not delay the whole run.
      timeout: 240_000,
      cwd: folder,
      env: npmEnv(),
      encoding: "utf8",
    });
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "mitogen-package-"));
    // Packs what `npm test` has just built, because another build would disturb the other tests.
    const packed = npm("pack", repoRoot, "--ignore-scripts", "--json");
    const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
    for (const path of ["dist/index.d.ts", "dist/LICENSES.txt"]) {
      assert.ok(
        files.some((file) => file.path === path),
        path,
      );
    }
    assert.ok(!files.some(({ path }) => /^(src|tests|build|\.lab)\//.test(path)));
    // Source maps would refer to src/, which is not in the package.
    assert.deepEqual(
      files.filter(({ path }) => path.endsWith(".map")),
      [],
    );
    writeFileSync(join(folder, "package.json"), '{ "name": "scratch", "private": true, "type": "module" }');
    npm("install", `./${filename}`, "tsx@4", "typescript@7", "@types/node@20");
    const programs = "tests/fixtures/programs/e2e";
    const scripts = [
      "examples/first-script.ts",
      `${programs}/first-script.mjs`,
      `${programs}/first-script.cjs`,
    ];
    for (const path of scripts) copyFileSync(join(repoRoot, path), join(folder, basename(path)));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("names only its own files in stacks when source maps are enabled", async () => {
    const script = `import { Router } from "mitogen";
const router = new Router();
for (const wrong of [() => router.local({ nodePath: "/no/such/node" }), () => new Router(5)]) {
  try { await wrong(); } catch (error) { console.log(error.stack); }
}
await router.shutdown();
`;
    writeFileSync(join(folder, "stacks.mjs"), script);
    const program = runProgram(join(folder, "stacks.mjs"), { nodeArgs: ["--enable-source-maps"] });
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /StreamError|EofError/);
    assert.equal(stdout.match(/stacks\.mjs:\d+/g)?.length, 4, stdout);
    assert.doesNotMatch(stdout, /mitogen\/src\//);
  });

  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const stripsTypes = major > 22 || (major === 22 && minor >= 18);
  for (const [name, nodeArgs] of [
    ["first-script.ts", ["--import", "tsx"]],
    ...(stripsTypes ? ([["first-script.ts", []]] as const) : []),
    ["first-script.mjs", []],
    ["first-script.cjs", ["--no-warnings"]],
  ] as const) {
    it(`runs ${name} with node ${nodeArgs.join(" ")} against a local child`, async () => {
      const program = runProgram(join(folder, name), { nodeArgs: [...nodeArgs], cwd: folder });
      const { code, stdout, stderr } = await program.ended;
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "123\n");
      assert.match(stderr, LOG_LINE);
    });
    it(`runs ${name} with node ${nodeArgs.join(" ")} against a real sshd`, async () => {
      const options = sshTo("mitogen-dash");
      const source = readFileSync(join(folder, name), "utf8");
      const overSsh = source.replace("router.local()", `router.ssh(${JSON.stringify(options)})`);
      assert.notEqual(overSsh, source);
      const path = join(folder, name.replace("first-script", "over-ssh"));
      writeFileSync(path, overSsh);
      const { code, stdout, stderr } = await runProgram(path, { nodeArgs: [...nodeArgs], cwd: folder }).ended;
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "123\n");
      assert.match(stderr, LOG_LINE);
      assert.match(stderr, new RegExp(`mitogen\\.ctx\\.ssh\\.127\\.0\\.0\\.1:${lab()?.ssh.port}:`));
    });
  }

  it("has types that a strict program compiles against", () => {
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          module: "nodenext",
          target: "es2023",
          lib: ["es2023", "esnext.disposable"],
          noEmit: true,
          exactOptionalPropertyTypes: true,
          types: ["node"],
        },
        include: ["first-script.ts"],
      }),
    );
    execFileSync(join(folder, "node_modules/.bin/tsc"), ["-p", "."], { cwd: folder, stdio: "inherit" });
  });
});
