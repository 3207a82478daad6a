/**
 * Test files that neither start nor change anything beside themselves share processes: starting one and loading the
 * library takes longer than most of these files. Each of the others has a process of its own.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Leaks are of the process, as are its children, threads, environment, folder, globals, and how much it has logged. */
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
const FOLDER = "build/together";
/** As few processes as keep every core busy. */
const FILES_PER_GROUP = 20;
const LEAST_GROUPS = 4;

/** What is to be started for these files. Those that `isLong` says take long are not made longer. */
export function groupTests(files, isLong) {
  rmSync(FOLDER, { recursive: true, force: true });
  const started = [];
  const short = [];
  for (const file of files) {
    const isAlone = isLong(file) || NEEDS_A_PROCESS.test(readFileSync(file, "utf8"));
    (isAlone ? started : short).push(file);
  }
  const size = Math.min(FILES_PER_GROUP, Math.ceil(short.length / LEAST_GROUPS));
  if (size < 2) return files;
  mkdirSync(FOLDER, { recursive: true });
  for (let at = 0; at < short.length; at += size) {
    const names = short.slice(at, at + size).map((file) => relative(FOLDER, file));
    const path = join(FOLDER, `${at / size + 1}.test.js`);
    const lines = names.map((name) => `import ${JSON.stringify(name.replaceAll("\\", "/"))};\n`);
    writeFileSync(path, lines.join(""));
    started.push(path);
  }
  return started;
}
