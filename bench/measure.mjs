// Runs the sides of a row by turns.
import { treeCpuMs } from "./cpu.mjs";

const PAIRS = 7;

/** How a run's result becomes the row's value. `per` is how many of the unit's things one run does. */
const VALUES = {
  ms: (ms, per) => ms / per,
  µs: (ms, per) => (ms * 1000) / per,
  "MiB/s": (ms, per) => (per * 1000) / ms,
  MiB: (mebibytes) => mebibytes,
};

export const isHigherBetter = (unit) => unit === "MiB/s";

/** CPU is in milliseconds of a whole run, unless the unit is µs: then it is per operation. */
export const cpuUnit = (unit) => (unit === "µs" ? "µs" : "ms");

const isTime = (unit) => unit === "ms" || unit === "µs";

/**
 * Starts each of `starts`, runs them by turns and closes them.
 * Returns for each side a list of `{ value, cpu }`, one for each round: `value` is in the row's unit, `cpu` is that of
 * the process tree during the run, see `cpuUnit`. A side that failed is an Error instead of a list.
 */
export async function measure({ unit, per = 1, pairs = PAIRS }, starts) {
  const sides = [];
  try {
    for (const start of starts) sides.push(await failing(start));
    const found = sides.map((side) => (side instanceof Error ? side : []));
    // The first round pays for compiling and for cold caches, so it is not counted.
    for (let round = -1; round < pairs; round++) {
      for (const [at, side] of sides.entries()) {
        if (found[at] instanceof Error) continue;
        const sample = await failing(() => runOnce(side, unit, per));
        if (sample instanceof Error) found[at] = sample;
        else if (round >= 0) found[at].push(sample);
      }
    }
    return found;
  } finally {
    await Promise.allSettled(sides.map((side) => side.close?.()));
  }
}

async function runOnce(side, unit, per) {
  await side.before?.();
  const before = treeCpuMs();
  const found = await side.run();
  const after = treeCpuMs();
  await side.after?.();
  const { value, cpu } = typeof found === "number" ? { value: found, cpu: after - before } : found;
  return { value: VALUES[unit](value, per), cpu: isTime(unit) ? VALUES[unit](cpu, per) : cpu };
}

async function failing(work) {
  try {
    return await work();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
