// What every step of the lab shares: running a command, trying again, printing the time it took.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const labFolder = join(root, ".lab");

/** Runs a command to its end. Returns its standard output, or throws an error with what it printed. */
export function run(command, args, { input = "", env = {}, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const settings = { maxBuffer: 2 ** 26, timeout: 600_000, ...options, env: { ...process.env, ...env } };
    const child = execFile(command, args, settings, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const output = `${stdout}${stderr}`.trim().split("\n").slice(-20).join("\n");
      const reason = error.killed ? "timed out" : (error.code ?? error.signal);
      error.stdout = stdout; // Some commands print all they know before they complain.
      reject(new Error(`${[command, ...args].join(" ")}: ${reason}\n${output}`, { cause: error }));
    });
    child.stdin.on("error", () => {}); // A command that does not read its input may end first.
    child.stdin.end(input);
  });
}

/** Calls `attempt` until it succeeds, for work that depends on a network. */
export async function retry(attempt, times = 3) {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt(tried);
    } catch (error) {
      if (tried === times) throw error;
      await pause(2_000 * tried);
    }
  }
}

/** Polls `check` until it returns something true. Returns that, or undefined at the deadline. */
export async function waitFor(check, withinMs) {
  for (const deadline = Date.now() + withinMs; ; ) {
    const answer = await check();
    if (answer) return answer;
    if (Date.now() > deadline) return undefined;
    await pause(20);
  }
}

/** Does the work of a step, and prints one line about it. */
export async function step(name, work) {
  const start = performance.now();
  const note = (await work()).trim().replaceAll("\n", "\n     ");
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  console.error(`lab: ${name.padEnd(10)} ${seconds.padStart(6)} s  ${note}`);
}

/** Returns whether the file had another text before. */
export function writeIfChanged(path, text, mode = 0o644) {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return false;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
  return true;
}
