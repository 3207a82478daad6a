/**
 * A live `top` over many machines: `top.ts [--refreshes N] [host …]`. Without a host it watches four local
 * contexts. A machine that does not answer in time has an empty line, and the table goes on; Ctrl-C ends it,
 * and everything on the machines with it.
 */

import { cpus, freemem, hostname, loadavg, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Context, type Router, runWithRouter } from "mitogen";

const REFRESH_MS = 1_000;
const ANSWER_MS = 3_000;

export interface Sample {
  hostname: string;
  load: number;
  /** Since the sample before, or since the machine started. */
  busyPercent: number;
  usedPercent: number;
  /** Resident memory of the context itself, in MiB. */
  ownMib: number;
}

/** What the context remembers from one sample to the next. */
let last = { busy: 0, total: 0 };

export function sample(): Sample {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.idle + times.irq;
    total += all;
    busy += all - times.idle;
  }
  const busyPercent = percent(busy - last.busy, total - last.total);
  last = { busy, total };
  return {
    hostname: hostname(),
    load: loadavg()[0] as number,
    busyPercent,
    usedPercent: percent(totalmem() - freemem(), totalmem()),
    ownMib: Math.round(process.memoryUsage().rss / 2 ** 20),
  };
}

function percent(part: number, whole: number): number {
  return whole > 0 ? Math.round((100 * part) / whole) : 0;
}

async function main(router: Router): Promise<void> {
  const { values, positionals: hosts } = parseArgs({
    options: { refreshes: { type: "string", default: "Infinity" } },
    allowPositionals: true,
  });
  const contexts = await Promise.all(
    hosts.length > 0
      ? hosts.map((host) => router.ssh({ hostname: host }))
      : ["a", "b", "c", "d"].map((name) => router.local({ remoteName: name })),
  );
  for (let left = Number(values.refreshes); left > 0; left--) {
    const lines = await Promise.all(contexts.map(line));
    // On a terminal the table stays in place.
    if (process.stdout.isTTY) process.stdout.write("\x1b[H\x1b[2J");
    console.log(["CONTEXT", "HOST", "LOAD", "CPU%", "MEM%", "OWN"].map(column).join(""));
    console.log(lines.join("\n"));
    if (left > 1) await sleep(REFRESH_MS);
  }
}

async function line(context: Context): Promise<string> {
  const cells = [context.name];
  try {
    const now = await context.with({ timeoutMs: ANSWER_MS }).call(sample);
    cells.push(
      now.hostname,
      now.load.toFixed(2),
      `${now.busyPercent}`,
      `${now.usedPercent}`,
      `${now.ownMib}M`,
    );
  } catch (error) {
    cells.push((error as Error).message);
  }
  return cells.map(column).join("");
}

function column(text: string, index: number): string {
  return index < 2 ? `${text.slice(0, 23).padEnd(24)}` : text.padStart(7);
}

await runWithRouter(main);
