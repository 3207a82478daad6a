// npm run coverage [-- what npm test takes]: runs the tests, then says which lines of src/ they have not run. Writes
// pages for a browser to coverage/.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** Every process of the tests, and every context, writes a file to this folder. */
const FOLDER = resolve("coverage/tmp");

function node(args, env = process.env) {
  return spawnSync(process.execPath, args, { stdio: "inherit", env }).status ?? 1;
}

/** c8 fails on source maps of modules that are no files: tsx makes data: URLs of CommonJS in TypeScript. */
function keepMapsOfFiles(path) {
  const text = readFileSync(path, "utf8");
  if (!text.includes('"data:')) return;
  const written = JSON.parse(text);
  const maps = Object.entries(written["source-map-cache"] ?? {});
  written["source-map-cache"] = Object.fromEntries(maps.filter(([url]) => url.startsWith("file:")));
  writeFileSync(path, JSON.stringify(written));
}

rmSync(FOLDER, { recursive: true, force: true });
const env = { ...process.env, NODE_V8_COVERAGE: FOLDER };
const tests = node(["scripts/test.mjs", ...process.argv.slice(2)], env);
for (const name of readdirSync(FOLDER)) keepMapsOfFiles(join(FOLDER, name));
const what = ["--src", "src", "--include", "src/**", "--exclude-after-remap"];
const how = ["--temp-directory", FOLDER, "--reporter", "text", "--reporter", "html"];
const report = node(["node_modules/c8/bin/c8.js", "report", ...what, ...how]);
process.exitCode = tests || report;
