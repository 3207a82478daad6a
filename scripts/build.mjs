/** `npm run build`: payload, then dist/; with --tests also build/, what the tests run. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
  layOut();
  // Coverage is measured for the single files of src/.
  if (process.env.NODE_V8_COVERAGE === undefined) await bundleTests();
}

/** build/src/ finds around it what dist/ does, so that the command line keeps connections in the tests as well. */
function layOut() {
  symlinkSync("../package.json", "build/package.json");
  symlinkSync("../dist", "build/dist");
  const text = readFileSync("build/src/cli/up/main.js", "utf8");
  const paths = { "./": "./cli/up/", "../../": "./" };
  writeFileSync(
    "build/src/up.js",
    text.replace(/(?<= from ")(\.\/|\.\.\/\.\.\/)/g, (path) => paths[path]),
  );
}

function compile(project) {
  const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
  const { status } = spawnSync(process.execPath, [tsc, "-p", project], { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
