import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Ended, endOf } from "./end-of.ts";
import { repoRoot } from "./lab.ts";

/** A program of tests/fixtures/programs, run as a user would: by node, with the built package. */
export interface Program {
  readonly process: ChildProcess;
  /** The next line of its stdout; rejects at its end. */
  line(): Promise<string>;
  /** Everything it printed, when it has ended. */
  readonly ended: Promise<Ended>;
}

export function runProgram(
  name: string,
  options: {
    nodeArgs?: readonly string[];
    args?: readonly string[];
    env?: Record<string, string>;
    cwd?: string;
    ownGroup?: boolean;
  } = {},
): Program {
  const path = name.startsWith("/") ? name : join(repoRoot, "tests/fixtures/programs", name);
  const env = { ...process.env, ...options.env };
  // The test runner's protocol is not for programs under test.
  delete env.NODE_TEST_CONTEXT;
  const args = [...(options.nodeArgs ?? []), path, ...(options.args ?? [])];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env,
    cwd: options.cwd ?? repoRoot,
    // With a group of its own, as a shell starts a foreground command: a terminal's signals go to the whole group.
    detached: options.ownGroup ?? false,
  });
  const { said, ended } = endOf(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    async line() {
      const next = await lines.next();
      if (next.done) throw new Error(`${name} ended without another line: ${said.stderr}`);
      return next.value;
    },
    ended,
  };
}
