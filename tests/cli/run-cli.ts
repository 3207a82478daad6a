import { spawn } from "node:child_process";
import { join } from "node:path";
import { type Ended, endOf } from "../support/end-of.ts";
import { repoRoot } from "../support/lab.ts";

/** The program as the package has it. */
export const CLI: string = join(repoRoot, "dist/cli.js");

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** The environment of a program under test: nothing of the test runner's, no colours that a runner asks for. */
export function cleanEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT, NO_COLOR, FORCE_COLOR, ...env } = process.env;
  return { ...env, ...more };
}

/** Runs `mitogen` with these words, without a terminal. */
export async function mitogen(words: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...words], {
    cwd: options.cwd ?? repoRoot,
    env: cleanEnvironment(options.env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(options.input ?? "");
  return await endOf(child).ended;
}
