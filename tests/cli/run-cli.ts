import { spawn } from "node:child_process";
import { join } from "node:path";
import { runCommandLine } from "../../src/cli/program/command-line.ts";
import { Terminal } from "../../src/cli/screen/terminal.ts";
import { type Ended, endOf } from "../support/end-of.ts";
import { repoRoot } from "../support/lab.ts";

/** The program of the package. */
export const CLI: string = join(repoRoot, "dist/cli.js");

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** The environment of a program under test: without the test runner's variables, and without those that ask for colours. */
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

/**
 * Runs a command line in this process, in the folder `cwd`, one at a time. This saves a process for each of the many
 * that end before anything starts. It leaves out main.ts, which `mitogen` above runs as well. It is an installation of
 * its own: it does not use the connections that `mitogen` keeps, nor the other way round.
 */
export async function mitogenHere(
  words: readonly string[],
  { cwd = repoRoot, env = {} }: RunOptions = {},
): Promise<Omit<Ended, "signal">> {
  let stdout = "";
  let stderr = "";
  const paper = (write: (text: string) => void): ConstructorParameters<typeof Terminal>[0] => ({
    write: (text) => {
      write(text);
      return true;
    },
    on: () => undefined,
    off: () => undefined,
  });
  const out = new Terminal(
    paper((text) => (stdout += text)),
    paper((text) => (stderr += text)),
    { NO_COLOR: "1" },
    () => undefined,
  );
  const before = process.cwd();
  const variables = Object.keys(env).map((name) => [name, process.env[name]] as const);
  process.chdir(cwd);
  Object.assign(process.env, env);
  try {
    const code = await runCommandLine(words, out, {
      signal: new AbortController().signal,
      stop: () => undefined,
      isInterrupted: () => false,
      unguarded: (work) => work(),
      exit: () => undefined,
    });
    return { code, stdout, stderr };
  } finally {
    process.chdir(before);
    for (const [name, value] of variables) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
