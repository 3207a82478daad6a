/**
 * Test files that start nothing, and change nothing outside of themselves, share processes: starting one and loading the
 * library takes longer than most of these files. The others have a process each. In a quick run most
 * of these share processes too: those that check that they leave nothing behind, and the rest.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const CHECKS_LEAKS = /\bcheckLeaks\(/;
/** Leaks concern the whole process, as do its children, threads, environment, folder, globals and counts of logs. */
const NEEDS_A_PROCESS = new RegExp(
  [
    CHECKS_LEAKS,
    /node:child_process|node:worker_threads|\bRouter\(|WithRouter\(/,
    /(?:run-program|run-cli|run-typescript|run-tool)\.js"/,
    /process\.(?:env|chdir|argv|exit)|\btemporaryFolder\(|\bsetEnvironment\(|globalThis/,
    /\bcaptureLogs\(|\bcollectLogs\(/,
  ]
    .map(({ source }) => source)
    .join("|"),
);
/**
 * Files that share a process in no run. They measure its memory, look at all its children, let children stay, run a
 * command line in it, which keeps connections, are its entry script, or load more when their tests begin.
 */
const NEEDS_ITS_OWN =
  /(?:keeper|peak-memory|process-tree|process-watch|provisioning|run-cli|run-tool)\.js"|\.memoryUsage\(|descendants\(process\.pid\)|inTheEntryScript|describe\(".*", async/;
/** Files in which nothing runs without the lab. A wrong match does no harm: tests that run all the same are checked. */
const NEEDS_THE_LAB = new RegExp(
  [
    /tests\/commands\/(?:run|run-in-containers)/,
    /tests\/conformance\/(?:methods|provisioned|ssh)/,
    /tests\/connection\/program-runtimes-load/,
    /tests\/e2e\/(?:become|builtin-calls|cancellation|chains-and-selects|connect-signal|files)/,
    /tests\/e2e\/(?:killed-transfers|last-words|module-semantics|pam-questions|password-functions|secrets|ssh[\w-]*)/,
    /tests\/e2e\/provision-(?!liars)[\w-]+/,
  ]
    .map(({ source }) => `${source}\\.test\\.js$`)
    .join("|"),
);
const FOLDER = "build/together";
/** As few processes as keep every core busy. */
const FILES_PER_GROUP = 20;
const LEAST_GROUPS = 4;
/** Of files that leave nothing behind. */
const CLEAN_FILES_PER_GROUP = 5;
/** Of files that start processes, and do not check that they leave nothing behind. */
const OTHER_FILES_PER_GROUP = 12;

/**
 * The files to start for these test files. Files that take long, as `isLong` says, are not made longer, except in a quick
 * run, where they are shorter.
 */
export function groupTests(files, { isLong, hasLab, isQuick }) {
  rmSync(FOLDER, { recursive: true, force: true });
  const [started, clean, others, short, skipped] = [[], [], [], [], []];
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    if (!hasLab && NEEDS_THE_LAB.test(slashes(file))) skipped.push(file);
    else if (isQuick && NEEDS_ITS_OWN.test(text)) started.push(file);
    else if (isQuick && CHECKS_LEAKS.test(text)) clean.push(file);
    else if (isQuick && NEEDS_A_PROCESS.test(text)) others.push(file);
    else if (NEEDS_A_PROCESS.test(text) || (isLong(file) && !isQuick)) started.push(file);
    else short.push(file);
  }
  const rank = (file) => files.indexOf(file);
  const long = [
    ...started.map((file) => [file]),
    ...deal(clean, CLEAN_FILES_PER_GROUP),
    ...deal(others, OTHER_FILES_PER_GROUP),
  ];
  const groups = [...long.sort(([a], [b]) => rank(a) - rank(b)), skipped];
  const size = Math.min(FILES_PER_GROUP, Math.ceil(short.length / LEAST_GROUPS));
  for (let at = 0; at < short.length; at += size) groups.push(short.slice(at, at + size));
  return groups.filter((group) => group.length > 0).map(writeGroup);
}

/** Groups of about `size` files, each with one of the first, which take longest. */
function deal(files, size) {
  const groups = Array.from({ length: Math.ceil(files.length / size) }, () => []);
  for (const [index, file] of files.entries()) groups[index % groups.length].push(file);
  return groups;
}

/**
 * Each file is a suite, so that its hooks, those of `checkLeaks()` too, are for its own tests, and run before and after
 * these. The first suite begins when all files are loaded, because loading opens files and may start processes.
 */
const SUITES = `import { describe } from "node:test";
const loads = [];
const loaded = new Promise((resolve) => setImmediate(() => Promise.allSettled(loads).then(resolve)));
const hold = (load) => (loads.push(load), loaded.then(() => load));
`;

function writeGroup(files, index) {
  if (files.length === 1) return files[0];
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, `${index + 1}.test.js`);
  const lines = files.map((file) => {
    const [name, module] = [file, relative(FOLDER, file)].map((each) => JSON.stringify(slashes(each)));
    return `describe(${name}, () => hold(import(${module})));\n`;
  });
  writeFileSync(path, [SUITES, ...lines].join(""));
  return path;
}

function slashes(path) {
  return path.replaceAll("\\", "/");
}
