/** `npm run build`: payload, then dist/; with --tests also build/, what the tests run. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { buildLibrary } from "./build-library.mjs";
import { buildPayload } from "./build-payload.mjs";
import { bundleTests } from "./bundle-tests.mjs";
import { pruneDeclarations } from "./prune-declarations.mjs";
import { writeRequireTypes } from "./require-types.mjs";

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const log = process.argv.includes("--quiet") ? () => undefined : console.log;

await buildPayload(log);
rmSync("dist", { recursive: true, force: true });
compile("tsconfig.build.json");
pruneDeclarations(log);
writeRequireTypes();
await buildLibrary(log);
if (process.argv.includes("--tests")) {
  rmSync("build", { recursive: true, force: true });
  compile("tsconfig.json");
  // Coverage is measured for the single files of src/.
  if (process.env.NODE_V8_COVERAGE === undefined) await bundleTests();
}

function compile(project) {
  const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
  const { status } = spawnSync(process.execPath, [tsc, "-p", project], { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
