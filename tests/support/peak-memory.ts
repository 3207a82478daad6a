import { existsSync, readFileSync, writeFileSync } from "node:fs";

const KIB_PER_MIB = 1024;

/** For the `skip` option of a test: false, or why memory cannot be measured here. */
export const noPeakMemory: string | false =
  !existsSync("/proc/self/clear_refs") && "Needs Linux, which keeps the peak of a process's memory";

/**
 * By how much processes grow, as the kernel counts: their largest resident size since the start, less that at the
 * start.
 */
export class PeakMemory {
  readonly #pids: readonly number[];
  readonly #before: readonly number[];

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#before = pids.map((pid) => {
      // Resets the peak: proc(5).
      writeFileSync(`/proc/${pid}/clear_refs`, "5");
      return residentMiB(pid, "VmRSS");
    });
  }

  /** Whole MiB, in the order of the processes. */
  growth(): number[] {
    return this.#pids.map((pid, i) => Math.round(residentMiB(pid, "VmHWM") - (this.#before[i] as number)));
  }
}

function residentMiB(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]) / KIB_PER_MIB;
}
