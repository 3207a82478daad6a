/** Instructions of codec and routing, if the kernel counts them. On most virtual machines it does not. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_FLAGS, programPath, run } from "./run.ts";

const FEW = 100;
const MANY = 600;

/**
 * Returns the instructions per round of codec-program.ts, or why there are none. The difference of two runs
 * leaves out the start.
 */
export async function countInstructions(node: string, folder: string): Promise<number | string> {
  const output = join(folder, "perf");
  const perf = ["perf", "stat", "-x", ",", "-e", "instructions:u", "-o", output];
  const count = (): number => parsePerf(readFileSync(output, "utf8"));
  const { error, status, stderr } = spawnSync("perf", [...perf.slice(1), "true"], { encoding: "utf8" });
  if (status !== 0) return `Instructions are not counted: ${error?.message ?? `perf: ${stderr.trim()}`}`;
  if (Number.isNaN(count())) return "Instructions are not counted: this kernel does not let perf";
  const program = [node, "--hash-seed=1", "--random-seed=1", ...NODE_FLAGS, programPath("codec-program")];
  const totals: number[] = [];
  for (const rounds of [FEW, MANY]) {
    await run([...perf, ...program, String(rounds)]);
    totals.push(count());
  }
  const [few, many] = totals as [number, number];
  return Math.round((many - few) / (MANY - FEW));
}

/** NaN if perf has not counted: it prints `<not supported>` then. */
export function parsePerf(text: string): number {
  const line = text.split("\n").find((each) => each.includes("instructions"));
  return Number.parseInt(line ?? "", 10);
}
