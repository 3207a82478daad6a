/** Whether an attack harms the program or the hop: their CPU time, memory, descriptors, logs and errors. */
import { setTimeout as pause } from "node:timers/promises";
import { type Context, type LogRecord, onLog, Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { cpuMsOf, fdCountOf, memoryOf, type Stall, StallMeter } from "../support/process-watch.ts";

const MIB = 1024 * 1024;
/**
 * CPU time for which the requests of others may wait: as much as a large module takes, and more for each MiB that came.
 */
const STALL_FLOOR_MS = 400;
const STALL_MS_PER_MIB = 50;
/** Higher for the hop, because only whole pings can be timed, and its CPU time counts both threads. */
const HOP_STALL_MS = 1_000;
/** More than 64 MiB of parts that may be open take. */
const MAX_GROWTH = 256 * MIB;
const FD_TOLERANCE = 4;
/** One request ends within this time on any machine. A harness that hangs says where. */
export const LIMIT_MS = 60_000;
const MAX_RECORD_CHARACTERS = 70_000;

/** What is watched, each apart. */
export const CHECKS = [
  "sessions end",
  "deliveries",
  "honest peers",
  "stalls",
  "memory",
  "descriptors",
  "logs",
  "secrets",
  "errors",
] as const;
export type Check = (typeof CHECKS)[number];

export interface AttackReport {
  readonly frames: number;
  readonly sessions: number;
  readonly worstStallMs: number;
  readonly growthMiB: number;
  readonly logRecords: number;
  /** The broken promises. Empty if all is well. */
  readonly broken: ReadonlyMap<Check, readonly string[]>;
}

/** Watches this process, and the hop's. */
export class Watch {
  readonly #broken: Map<Check, string[]> = new Map();
  readonly #onError = (error: unknown): void =>
    this.broke("errors", String((error as Error)?.stack ?? error));
  #stopLog: (() => void) | undefined;
  #meter: StallMeter | undefined;
  #worst: Stall = { cpuMs: 0, bytes: 0 };
  #logBytes = 0;
  #logRecords = 0;
  #receivedBefore = 0;
  #fdsBefore = 0;
  #memoryBefore = 0;
  #peak = 0;
  #sampler: NodeJS.Timeout | undefined;
  #hop: HopWatch | undefined;

  broke(check: Check, what: string): void {
    const list = this.#broken.get(check) ?? [];
    this.#broken.set(check, list);
    if (list.length < 20) list.push(what.slice(0, 2_000));
  }

  async begin(router: Router, hop: Context | undefined): Promise<void> {
    process.on("uncaughtException", this.#onError).on("unhandledRejection", this.#onError);
    const received = (): number => router.getStats().bytesReceived;
    this.#stopLog = onLog((record) => this.noteRecord(record), { level: "info" });
    this.#receivedBefore = received();
    this.#fdsBefore = fdCountOf("self");
    this.#memoryBefore = memoryOf("self");
    this.#peak = this.#memoryBefore;
    this.#sampler = setInterval(() => {
      this.#peak = Math.max(this.#peak, memoryOf("self"));
    }, 50);
    this.#meter = new StallMeter(received);
    if (hop !== undefined) {
      this.#hop = new HopWatch(hop, await hop.call(remote.pid), (check, what) => this.broke(check, what));
    }
  }

  async end(router: Router, hop: Context | undefined): Promise<void> {
    this.#meter?.stop();
    for (const stall of this.#meter?.stalls ?? []) {
      if (stall.cpuMs > this.#worst.cpuMs) this.#worst = stall;
      const allowed = STALL_FLOOR_MS + (STALL_MS_PER_MIB * stall.bytes) / MIB;
      if (stall.cpuMs > allowed) {
        this.broke(
          "stalls",
          `the program was held for ${Math.round(stall.cpuMs)} ms by ${stall.bytes} bytes`,
        );
      }
    }
    const growth = this.#peak - this.#memoryBefore;
    if (growth > MAX_GROWTH) this.broke("memory", `the program grew by ${Math.round(growth / MIB)} MiB`);
    const received = router.getStats().bytesReceived - this.#receivedBefore;
    if (this.#logBytes > 2 * received + MIB) {
      this.broke("logs", `${this.#logBytes} characters were logged for ${received} bytes received`);
    }
    let fds = 0;
    for (let turn = 0; turn < 100; turn++) {
      fds = fdCountOf("self");
      if (Math.abs(fds - this.#fdsBefore) <= FD_TOLERANCE) break;
      await pause(20);
    }
    if (fds - this.#fdsBefore > FD_TOLERANCE) this.broke("descriptors", `${this.#fdsBefore} → ${fds}`);
    if (hop !== undefined) await this.#hop?.end();
  }

  stop(): void {
    this.#stopLog?.();
    this.#meter?.stop();
    this.#hop?.stop();
    clearInterval(this.#sampler);
    process.off("uncaughtException", this.#onError).off("unhandledRejection", this.#onError);
  }

  report(): Omit<AttackReport, "frames" | "sessions"> {
    return {
      worstStallMs: Math.round(this.#worst.cpuMs),
      growthMiB: Math.round((this.#peak - this.#memoryBefore) / MIB),
      logRecords: this.#logRecords,
      broken: this.#broken,
    };
  }

  private noteRecord({ message, mitogenName }: LogRecord): void {
    this.#logRecords += 1;
    this.#logBytes += message.length;
    if (message.length > MAX_RECORD_CHARACTERS)
      this.broke("logs", `a record of ${message.length} characters`);
    // A context's own logs have its own text. Logs about it must be fit for a terminal.
    if (mitogenName === undefined && /[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(message)) {
      this.broke("logs", `control characters in ${JSON.stringify(message.slice(0, 300))}`);
    }
    // Malformed messages are dropped and logged. No other error is expected.
    if (/Handler for \d+ failed: (?!ProtocolError|TypeError: a )/.test(message))
      this.broke("errors", message);
  }
}

class HopWatch {
  readonly #broke: (check: Check, what: string) => void;
  readonly #pid: number;
  readonly #fds: number;
  readonly #memory: number;
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(hop: Context, pid: number, broke: (check: Check, what: string) => void) {
    this.#broke = broke;
    this.#pid = pid;
    this.#fds = fdCountOf(pid);
    this.#memory = memoryOf(pid);
    this.#watching = this.watch(hop);
  }

  private async watch(hop: Context): Promise<void> {
    for (let worst = 0; !this.#isOver; await pause(20)) {
      const before = cpuMsOf(this.#pid);
      try {
        await hop.ping({ timeoutMs: LIMIT_MS });
      } catch (error) {
        this.#broke("honest peers", `the hop does not answer: ${error}`);
        return;
      }
      const cpuMs = cpuMsOf(this.#pid) - before;
      if (cpuMs > Math.max(worst, HOP_STALL_MS)) {
        worst = cpuMs;
        this.#broke("stalls", `the hop computed ${cpuMs} ms before it answered a ping`);
      }
      const growth = memoryOf(this.#pid) - this.#memory;
      if (growth > MAX_GROWTH) this.#broke("memory", `the hop grew by ${Math.round(growth / MIB)} MiB`);
    }
  }

  async end(): Promise<void> {
    this.stop();
    await this.#watching;
    const fds = fdCountOf(this.#pid);
    if (fds - this.#fds > FD_TOLERANCE) this.#broke("descriptors", `of the hop: ${this.#fds} → ${fds}`);
  }

  stop(): void {
    this.#isOver = true;
  }
}
