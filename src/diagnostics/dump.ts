import type { CoreRouter } from "../core/router.ts";

const MIB = 1024 * 1024;

/** Returns the first lines of a dump: the process, its memory, and what keeps its event loop alive. */
export function dumpProcess(router: CoreRouter): string[] {
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
  const lines = [
    `Diagnostics of context ${router.contextId}, ${new Date().toISOString()}`,
    `process: pid ${process.pid}, parent ${process.ppid}, node ${process.version}, ${process.platform} ${process.arch}, up ${process.uptime().toFixed(1)} s`,
    `memory: rss ${mib(rss)}, heap ${mib(heapUsed)} of ${mib(heapTotal)}, external ${mib(external)}`,
    `handlers: ${router.handlers.size}`,
  ];
  // Node has it since 17.3.
  const { getActiveResourcesInfo } = process as { getActiveResourcesInfo?: () => string[] };
  if (getActiveResourcesInfo !== undefined) lines.push(`active: ${countEach(getActiveResourcesInfo())}`);
  return lines;
}

/**
 * Calls `dump` at SIGUSR2, in addition to the program's own handlers. Returns a function that stops this.
 * Keeps nothing alive.
 */
export function dumpOnSignal(dump: () => void): () => void {
  process.on("SIGUSR2", dump);
  return () => void process.removeListener("SIGUSR2", dump);
}

function countEach(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${name} ${count}`).join(", ") || "nothing";
}
