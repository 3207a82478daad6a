/**
 * Functions that the measured program calls in its contexts. The file is copied to another folder, so it must not
 * import anything.
 */
import type { Kind, Probe, Reading } from "./probe.cts";

export function noop(): void {}

/** What the probe of this process offers. */
export function probe(): Probe {
  return (globalThis as unknown as Record<symbol, Probe>)[Symbol.for("mitogen.counts")] as Probe;
}

/** The main thread starts last and stops first, so that it does not count this. */
export async function startCounting(kind: Kind): Promise<void> {
  await probe().broker({ start: kind });
  probe().own({ start: kind });
}

/** What the main thread and the broker thread have counted. */
export async function stopCounting(): Promise<Reading[]> {
  const main = probe().own("stop");
  return [main, await probe().broker("stop")];
}

/** The kernel's ids of the main thread and the broker thread. */
export async function threadIds(): Promise<Reading[]> {
  return [probe().own("id"), await probe().broker("id")];
}
