/**
 * What a peer costs a process, measured in CPU time, which other load of the machine does not change.
 */
import { readdirSync, readFileSync } from "node:fs";

const TICK_MS = 10;
/** A tick of the kernel's clock: USER_HZ is 100 wherever Node runs on Linux. */
const JIFFY_MS = 10;

export interface Stall {
  readonly cpuMs: number;
  readonly bytes: number;
}

/** Measures how long the event loop of this process was held, and by how many bytes. `received` counts bytes. */
export class StallMeter {
  readonly stalls: Stall[] = [];
  readonly #received: () => number;
  readonly #timer: NodeJS.Timeout;
  #cpuMs: number = ownCpuMs();
  #bytes: number;

  constructor(received: () => number) {
    this.#received = received;
    this.#bytes = received();
    this.#timer = setInterval(() => this.note(), TICK_MS);
  }

  stop(): void {
    this.note();
    clearInterval(this.#timer);
  }

  private note(): void {
    const [cpuMs, bytes] = [ownCpuMs(), this.#received()];
    this.stalls.push({ cpuMs: cpuMs - this.#cpuMs, bytes: bytes - this.#bytes });
    [this.#cpuMs, this.#bytes] = [cpuMs, bytes];
  }
}

export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** CPU time of another process so far, in milliseconds; 0 once it is gone. */
export function cpuMsOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * JIFFY_MS;
}

/** Resident memory of a process in bytes, without what it shares with files. */
export function memoryOf(pid: number | "self"): number {
  const kib = /^RssAnon:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1];
  return Number(kib ?? 0) * 1024;
}

export function fdCountOf(pid: number | "self"): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
