// npm test [-- filters… options…]: builds, then runs the compiled tests.
//   filters       parts of file names, as in `npm test -- tests/wire`
//   --no-build    runs what the last build has left
//   --watch       runs again whenever a file of src/ or tests/ changes
//   --masters     runs what depends on the master's Node on the lab's other Nodes too; CI always does
//   --test-…=…    options of node:test: name-pattern, skip-pattern, only, reporter, concurrency, timeout
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, watch } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { groupTests } from "./group-tests.mjs";

const TEST_LIMIT_MS = 300_000; // of suites too: the longest takes a minute here, more on a busy machine
const FILE_LIMIT_MS = 900_000;
const RUN_LIMIT_MS = 40 * 60_000;
const MASTER_LIMIT_MS = 14 * 60_000;
// Long tests run in full only once, because most do not depend on the master. See tests/support/extent.ts.
const MASTER_ENV = {
  MITOGEN_REPEATED: "true",
  MITOGEN_SOAK_CONTEXTS: "100",
  MITOGEN_FLOW_MIB: "512",
  MITOGEN_FILE_MIB: "256",
};
const MASTERS = ["20", "22", "24", "26"];
/** The longest files, the longest first. If they began last, they would run alone at the end. */
const FIRST = [
  "conformance/methods",
  "conformance/provisioned",
  "environments/environments",
  "e2e/provision",
  "e2e/provision-hosts",
  "e2e/provision-programs",
  "e2e/provision-shells",
  "fleet/fleet-through",
  "fleet/fleet-through-liars",
  "e2e/dead-parents",
  "e2e/modules",
  "short-way/short-ways-trust",
  "cli/commands/up",
  "e2e/left-behind",
  "e2e/fakessh",
  "cli/commands/completion",
  "e2e/silent-contexts",
  "short-way/short-ways-ends",
  "fleet/fleet",
  "cli/report",
  "e2e/lifetimes",
  "remote/first-frames",
  "e2e/npm-packages",
  "bench/bench",
  "chaos/chaos",
  "e2e/soak",
  "e2e/pressure",
  "e2e/fakessh-places",
  "docs/snippets",
  "e2e/child-routers",
  "e2e/bulk",
  "hostile/hostile",
  "e2e/examples",
  "e2e/given-answers",
  "order/order",
  "conformance/chains",
  "e2e/child-router-ends",
  "e2e/detach",
  "e2e/disconnect",
  "e2e/changed-errors",
  "short-way/short-ways-order",
  "e2e/target-environment",
  "e2e/trust",
  "conformance/thread",
  "e2e/connect-failures",
  "e2e/tree",
  "e2e/exhausted",
  "counts/counts",
  "connection/runtime/targets/provisioner-paths",
  "loader/naming/name-function",
  "package/public-api",
  "wire/cbor-fuzz",
  "wire/cbor-hostile",
];
/**
 * Files wait for processes and timeouts longer than they compute: with four for each core, the cores are busy. In CI
 * the lab's servers compute as well.
 */
const FILES_PER_CORE = process.env.CI === "true" ? 1.5 : 4;
const CONCURRENCY = Math.ceil(Math.max(2, availableParallelism()) * FILES_PER_CORE);
const MASTER_FOLDERS = /[/\\](conformance|counts|e2e|loader|order)[/\\]/;
/**
 * What a target does with the node that it is brought does not depend on the master's Node. The master's part, packing
 * and sending, is tested in e2e/provision.
 */
const ONE_MASTER = /[/\\]provision(ed|-[\w-]+)\.test\.js$/;
// Readers may see only the end of what CI printed, so it must say why the run failed.
const SHOWN_LINES_PER_RUN = 60;
const FAILING_TESTS = /^✖ failing tests:/;
const FAILED_TEST = /^\s*✖ /;
const SUMMARY = /^(ℹ|#) (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const isCi = process.env.CI === "true";
const words = process.argv.slice(2);
const ownOptions = ["--no-build", "--watch", "--masters"];
/** run-files.mjs lists the options that there are. */
const nodeOptions = words.filter((word) => word.startsWith("--test-"));
const unknown = words.filter(
  (word) => word.startsWith("-") && ![...ownOptions, ...nodeOptions].includes(word),
);
if (unknown.length > 0)
  throw new Error(`Unknown: ${unknown.join(" ")}. Options are ${ownOptions.join(", ")} and --test-…=…`);
if (words.includes("--watch")) await runAtEachChange();
const filters = words.filter((word) => !word.startsWith("-")).map((word) => word.replace(/\.ts$/, ".js"));
const wantsMasters = words.includes("--masters") || (isCi && filters.length === 0);

if (!words.includes("--no-build")) {
  const built = spawnSync(process.execPath, ["scripts/build.mjs", "--tests"], { stdio: "inherit" });
  if (built.status !== 0) process.exit(built.status ?? 1);
}
const lab = await bringLabUp();

const files = readdirSync("build/tests", { recursive: true })
  .map((name) => join("build/tests", name))
  .filter((path) => path.endsWith(".test.js"))
  .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
if (files.length === 0) throw new Error(`No test file matches ${filters.join(" ") || "build/tests"}`);

// The run on this Node comes last: its summary ends the output.
const failures = [];
for (const [name, node] of wantsMasters ? otherMasters() : []) {
  const some = files.filter((path) => MASTER_FOLDERS.test(path) && !ONE_MASTER.test(path));
  if (some.length === 0) break;
  console.log(`\n== Node ${name} as master, ${some.length} files`);
  const { passed, problems } = await runTests(node, name, some, MASTER_LIMIT_MS, MASTER_ENV);
  if (!passed) failures.push({ run: `Node ${name} as master`, problems });
}
console.log(`\n== ${process.version}, ${files.length} files`);
const major = process.versions.node.split(".")[0];
const own = await runTests(process.execPath, major, files, RUN_LIMIT_MS);
if (!own.passed) failures.push({ run: `Node ${major}`, problems: own.problems });
for (const { run, problems } of failures) {
  console.log(`\n== Failed: ${run}\n${problems.join("\n")}`);
  process.exitCode = 1;
}
if (failures.length > 0 || !own.endsWithSummary) console.log(own.summary.join("\n"));

/** Does not return: Ctrl-C ends it. */
async function runAtEachChange() {
  let changes = 0;
  for (const folder of ["src", "tests"]) {
    // The build itself writes generated files.
    watch(folder, { recursive: true }, (_, name) => /\.generated\./.test(name ?? "") || changes++);
  }
  const args = [fileURLToPath(import.meta.url), ...words.filter((word) => word !== "--watch")];
  for (;;) {
    const seen = changes;
    await new Promise((resolve) =>
      spawn(process.execPath, args, { stdio: "inherit" }).once("close", resolve),
    );
    if (changes === seen) console.log("\nWaiting for a change of src/ or tests/");
    while (changes === seen) await pause(200);
    await pause(200); // Editors write several files.
  }
}

function rank(path) {
  const at = FIRST.findIndex((name) => path.endsWith(`${name}.test.js`));
  return at < 0 ? FIRST.length : at;
}

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
  // Until Node 23, the limit is for all tests of a file together.
  const timeout = Number(major) < 24 ? FILE_LIMIT_MS : TEST_LIMIT_MS;
  const [end, runner] = ["test-end.mjs", "run-files.mjs"].map((name) => new URL(name, import.meta.url));
  const { NODE_TEST_CONTEXT, NODE_EXTRA_CA_CERTS, ...env } = process.env;
  // Node reads the certificates at each start; up to Node 20, that takes longer than the rest. See tests/support/npm-env.ts.
  if (NODE_EXTRA_CA_CERTS !== undefined) env.MITOGEN_NPM_CA_CERTS = NODE_EXTRA_CA_CERTS;
  Object.assign(env, changes);
  if (filters.length > 0) env.MITOGEN_NAMED = "true";
  env.PATH = [dirname(node), env.PATH].join(delimiter);
  const options = JSON.stringify(nodeOptions);
  const started = groupTests(files, {
    isLong: (path) => rank(path) < FIRST.length,
    hasLab: lab !== undefined,
    isQuick: !isCi && filters.length === 0,
  });
  const args = [`--import=${end.href}`, fileURLToPath(runner), CONCURRENCY, timeout, options, ...started];
  const child = spawn(node, args, {
    env,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: limitMs, // The runner answers SIGTERM by ending what it started.
  });
  // If this program is ended, no runner goes on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => {
      child.kill("SIGTERM");
      child.once("close", () => process.exit(1));
    });
  }
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
      const problems = code === 0 ? [] : [`The test runner ended with ${code ?? "a signal"}`];
      if (summary.length === 0 && !nodeOptions.some((word) => word.startsWith("--test-reporter")))
        problems.push(`No summary: ended by its limit of ${limitMs / 60_000} min, or broken`);
      if (isCi && summary.some((line) => / skipped [1-9]/.test(line))) {
        problems.push(
          "With CI=true nothing may be skipped:",
          ...lines.filter((line) => / # SKIP|^\s*﹣ /.test(line)),
        );
      }
      const passed = problems.length === 0;
      resolve({
        passed,
        summary,
        problems: passed ? [] : [...problems, ...failingTests(lines)].slice(0, SHOWN_LINES_PER_RUN),
        endsWithSummary: SUMMARY.test(lines.at(-1) ?? ""),
      });
    });
  });
}

/**
 * The failing tests that the reporter lists after its summary, with their messages; of a run that was cut off before
 * that, the lines that mark failures.
 */
function failingTests(lines) {
  const start = lines.findLastIndex((line) => FAILING_TESTS.test(line));
  return start < 0 ? lines.filter((line) => FAILED_TEST.test(line)) : lines.slice(start + 1);
}
