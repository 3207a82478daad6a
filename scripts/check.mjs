/** `npm run check`: format, lint, types, layers and the run time of regular expressions. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const bin = (path) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

if (!existsSync("src/bootstrap/payload.generated.ts") || !existsSync("dist/index.js"))
  run("scripts/build.mjs", ["--quiet"]);
run(bin("@biomejs/biome/bin/biome"), ["check", "--error-on-warnings", "."]);
run(bin("typescript/bin/tsc"), ["-p", "tsconfig.json", "--noEmit"]);
run("scripts/layers.mjs", []);
// recheck is no dependency: the lock file would need its packages for all platforms, and not every registry has them
// all.
const recheck = ["--yes", "--package=recheck@4.5.0", "--", process.execPath, "scripts/check-regexps.mjs"];
if (spawnSync("npx", recheck, { stdio: "inherit" }).status !== 0) process.exitCode = 1;
run("scripts/check-package.mjs", []);

function run(script, args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
