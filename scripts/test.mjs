// npm test [-- filters… --masters]: builds, then runs the compiled tests.
//   filters     parts of file names, as in `npm test -- tests/wire`
//   --masters   runs what depends on the master's Node on the lab's other Nodes too; CI always does
import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const TEST_LIMIT_MS = 120_000;
const FILE_LIMIT_MS = 900_000;
const RUN_LIMIT_MS = 40 * 60_000;
const MASTER_LIMIT_MS = 14 * 60_000;
// What takes long is done in full once: most of it does not depend on the master.
const MASTER_ENV = { MITOGEN_SOAK_CONTEXTS: "100", MITOGEN_FLOW_MIB: "512", MITOGEN_FILE_MIB: "256" };
const MASTERS = ["20", "22", "24", "26"];
const MASTER_FOLDERS = /[/\\](conformance|e2e|loader)[/\\]/;
const SUMMARY = /^(ℹ|#) (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const isCi = process.env.CI === "true";
const words = process.argv.slice(2);
const filters = words.filter((word) => !word.startsWith("-")).map((word) => word.replace(/\.ts$/, ".js"));
const wantsMasters = words.includes("--masters") || (isCi && filters.length === 0);

const built = spawnSync(process.execPath, ["scripts/build.mjs", "--tests"], { stdio: "inherit" });
if (built.status !== 0) process.exit(built.status ?? 1);
const lab = await bringLabUp();

const files = readdirSync("build/tests", { recursive: true })
  .map((name) => join("build/tests", name))
  .filter((path) => path.endsWith(".test.js"))
  .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
  .sort();
if (files.length === 0) throw new Error(`No test file matches ${filters.join(" ") || "build/tests"}`);

// The run on this Node comes last: its summary ends the output.
const failures = [];
for (const [name, node] of wantsMasters ? otherMasters() : []) {
  const some = files.filter((path) => MASTER_FOLDERS.test(path));
  if (some.length === 0) break;
  console.log(`\n== Node ${name} as master, ${some.length} files`);
  const { passed } = await runTests(node, name, some, MASTER_LIMIT_MS, MASTER_ENV);
  if (!passed) failures.push(`Node ${name} as master`);
}
console.log(`\n== ${process.version}, ${files.length} files`);
const major = process.versions.node.split(".")[0];
const { passed, summary, endsWithSummary } = await runTests(process.execPath, major, files, RUN_LIMIT_MS);
if (!passed) failures.push(`Node ${major}`);
if (failures.length > 0) {
  console.log(`\nFailed, see above: ${failures.join(", ")}`);
  process.exitCode = 1;
}
if (failures.length > 0 || !endsWithSummary) console.log(summary.join("\n"));

async function bringLabUp() {
  const { labFolder } = await import("./lab/run.mjs");
  if (isCi && process.platform === "linux" && process.getuid() === 0) {
    return await (await import("./lab.mjs")).labUp();
  }
  console.log(
    `No lab (${relative(".", labFolder)}): needs CI=true and root on Debian; its tests are skipped`,
  );
  return undefined;
}

function otherMasters() {
  if (!lab) throw new Error("Other masters need the lab: run with CI=true, as root on Debian");
  const running = process.versions.node.split(".")[0];
  return MASTERS.filter((name) => name !== running).map((name) => [name, lab.nodes[name]]);
}

function runTests(node, major, files, limitMs, changes = {}) {
  // Until Node 23 the limit is one for all of a file's tests together.
  const timeout = Number(major) < 24 ? FILE_LIMIT_MS : TEST_LIMIT_MS;
  const options = [`--test-timeout=${timeout}`, "--test-concurrency=2", "--test-force-exit"];
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  Object.assign(env, changes);
  env.PATH = [dirname(node), env.PATH].join(delimiter);
  const child = spawn(node, ["--test", "--test-reporter=spec", ...options, ...files], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: limitMs, // The runner answers SIGTERM by ending what it started.
  });
  const lines = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    process.stdout.write(text);
    const [...whole] = (rest + text).split("\n");
    rest = whole.pop();
    lines.push(...whole.filter((line) => line.trim() !== ""));
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      const summary = lines.filter((line) => SUMMARY.test(line)).slice(-8);
      if (summary.length === 0)
        console.log(`No summary: ended by its limit of ${limitMs / 60_000} min, or broken`);
      const skipped = summary.some((line) => / skipped [1-9]/.test(line));
      if (isCi && skipped)
        console.log("With CI=true nothing may be skipped: see the tests marked SKIP above");
      const passed = code === 0 && summary.length > 0 && !(isCi && skipped);
      resolve({ passed, summary, endsWithSummary: SUMMARY.test(lines.at(-1) ?? "") });
    });
  });
}
