/** Runs one of the measured programs. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** Some seconds of work, on one processor that others may use as well. */
const LIMIT_MS = 240_000;

/**
 * Flags of every measured Node: the program's and those of its contexts. Nothing is optimised, because V8 does
 * that at a time of its own choosing, and optimised code allocates less. V8 allocates its data about a function
 * when the function first runs, and keeps them.
 */
export const NODE_FLAGS: readonly string[] = [
  ...["--no-opt", "--no-maglev", "--no-sparkplug", "--no-lazy-feedback-allocation", "--no-flush-bytecode"],
  // There are few collections, and when one ends V8 knows all that it has freed.
  ...["--min-semi-space-size=16", "--single-threaded", "--expose-gc"],
  `--require=${fileURLToPath(new URL("probe.cjs", import.meta.url))}`,
];

/** The path of a program beside this file. */
export const programPath = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url));

/**
 * The same command on one processor, where a thread runs until it waits, if this system has the tools. Otherwise,
 * how much one read finds would depend on which threads run at the same time, or interrupt one another.
 */
export function byTurns(argv: readonly string[]): readonly string[] {
  const turns = ["chrt", "--batch", "0", "taskset", "--cpu-list", firstProcessor()];
  const isThere = spawnSync("chrt", [...turns.slice(1), "true"]).status === 0;
  return isThere ? [...turns, ...argv] : argv;
}

/** The first processor that this process may run on. */
function firstProcessor(): string {
  const file = "/proc/self/status";
  const status = existsSync(file) ? readFileSync(file, "latin1") : "";
  return /^Cpus_allowed_list:\s*(\d+)/m.exec(status)?.[1] ?? "0";
}

/** Returns what `argv` prints. Rejects if the command fails, or takes too long; then it is ended. */
export async function run(argv: readonly string[]): Promise<string> {
  const [command, ...args] = argv as [string, ...string[]];
  const child = spawn(command, args, {
    env: plainEnv(),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // A group of its own, with the tool that watches the program.
  });
  const limit = setTimeout(() => process.kill(-(child.pid as number), "SIGKILL"), LIMIT_MS);
  try {
    const ended = once(child, "close");
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      ended,
    ]);
    if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code ?? signal}: ${stderr.slice(-2000)}`);
    return stdout;
  } finally {
    clearTimeout(limit);
  }
}

/** Without the variables that change how Node or the library works. */
function plainEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE|MITOGEN)_/.test(name)));
}
