/**
 * Test files that start nothing, and change nothing outside of themselves, share processes: starting one and loading the
 * library takes longer than most of these files. Each of the others has a process of its own.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Leaks concern the whole process, as do its children, threads, environment, folder, globals and counts of logs. */
const NEEDS_A_PROCESS = new RegExp(
  [
    /\bcheckLeaks\(|node:child_process|node:worker_threads|\bRouter\(|WithRouter\(/,
    /(?:run-program|run-cli|run-typescript|run-tool)\.js"/,
    /process\.(?:env|chdir|argv|exit)|\btemporaryFolder\(|\bsetEnvironment\(|globalThis/,
    /\bcaptureLogs\(|\bcollectLogs\(/,
  ]
    .map(({ source }) => source)
    .join("|"),
);
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

/** The files to start for these test files. Files that take long, as `isLong` says, are not made longer. */
export function groupTests(files, isLong, hasLab) {
  rmSync(FOLDER, { recursive: true, force: true });
  const [started, short, skipped] = [[], [], []];
  for (const file of files) {
    if (!hasLab && NEEDS_THE_LAB.test(slashes(file))) skipped.push(file);
    else if (isLong(file) || NEEDS_A_PROCESS.test(readFileSync(file, "utf8"))) started.push(file);
    else short.push(file);
  }
  const size = Math.min(FILES_PER_GROUP, Math.ceil(short.length / LEAST_GROUPS));
  const groups = [skipped];
  for (let at = 0; at < short.length; at += size) groups.push(short.slice(at, at + size));
  return [...started, ...groups.filter((group) => group.length > 0).map(writeGroup)];
}

function writeGroup(files, index) {
  if (files.length === 1) return files[0];
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, `${index + 1}.test.js`);
  const lines = files.map((file) => `import ${JSON.stringify(slashes(relative(FOLDER, file)))};\n`);
  writeFileSync(path, lines.join(""));
  return path;
}

function slashes(path) {
  return path.replaceAll("\\", "/");
}
