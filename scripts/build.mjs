/** `npm run build`: payload, then dist/; with --tests also build/, what the tests run. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPayload, COMMAND_BUDGET_BYTES } from "./build-payload.mjs";

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const log = process.argv.includes("--quiet") ? () => undefined : console.log;

await buildPayload(log);
rmSync("dist", { recursive: true, force: true });
compile("tsconfig.build.json");
const { bootCommand } = await import("../dist/bootstrap/command.js");
const { payloadBytes } = await import("../dist/bootstrap/payload.js");
const command = bootCommand("0123456789abcdef", payloadBytes().length, []);
log(`command line: ${command.length} bytes (budget ${COMMAND_BUDGET_BYTES})`);
if (command.length > COMMAND_BUDGET_BYTES) throw new Error("The command line is over its budget");
if (process.argv.includes("--tests")) {
  rmSync("build", { recursive: true, force: true });
  compile("tsconfig.json");
}

function compile(project) {
  const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
  const { status } = spawnSync(process.execPath, [tsc, "-p", project], { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
