import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** How a program ended, and all that it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Collects what a program prints until it ends. `said` is what it has printed so far. */
export function endOf(child: ChildProcess): {
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
} {
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      said[stream] += text;
    });
  }
  return { said, ended: once(child, "close").then(([code, signal]) => ({ code, signal, ...said })) };
}
