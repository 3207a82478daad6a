/**
 * One round: starts a program, does something to one of its processes, and looks at what can be seen
 * afterwards.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isOfLink, type Plan } from "./plan.ts";
import type { Event, Outcome, Setting } from "./program.ts";
import { left, parentOf, processesWith, signal } from "./table.ts";

const MIB = 1024 * 1024;
/** The timeout of every wait in the program. */
const TIMEOUT_MS = 8_000;
/**
 * How long the visible end of a process may take to reach the callers that wait: a second, and what a busy
 * machine needs.
 */
const NOTICE_MS = 1_000 + 5_000;
/** After this time nothing may be left: five seconds, and what a busy machine needs. */
const LEFT_MS = 5_000 + 3_000;
/** The same if nobody could tell the processes behind a silent link. */
const SILENT_LEFT_MS = 90_000;
/** All waits one after the other, the grace of a shutdown, and what a busy machine needs. */
const END_MS = 3 * TIMEOUT_MS + 5_000 + 20_000;
const STOPPED_MS = 500;

/** Plays a round. Returns the broken promises, one line each. */
export async function playRound(plan: Plan, nonce: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-chaos-"));
  const [data, temporary, control] = ["data", "tmp", "control"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const word = `MITOGEN_CHAOS=${nonce}`;
  const broken: string[] = [];
  try {
    for (const each of [data, temporary]) mkdirSync(each);
    writeFileSync(join(data, "source"), "");
    truncateSync(join(data, "source"), 64 * MIB);
    writeFileSync(control, plan.action);
    const setting: Setting = { plan, data, control };
    const program = new Program(setting, { MITOGEN_CHAOS: nonce, TMPDIR: temporary });
    await program.until(plan.operation === "first connect" ? "connecting" : "begun");
    await pause(plan.delayMs);
    const at = Date.now();
    const isVisible = await disturb(plan, program, word);
    const isKilled = plan.killsProgram || (plan.victim === "program" && plan.action !== "SIGSTOP");
    if (!(await program.hasEnded(END_MS))) {
      broken.push(`the program goes on; it said ${program.said}`);
      signal(program.pid, "SIGKILL", word);
    } else if (!isKilled) broken.push(...judge(program, isVisible ? at : undefined));
    const isOutOfReach = plan.killsProgram && plan.victim === "tool of the hop";
    for (const { command, pid, parentPid } of await left(
      () => processesWith(word),
      isOutOfReach ? SILENT_LEFT_MS : LEFT_MS,
    )) {
      broken.push(`process ${pid}, child of ${parentPid}, is left: ${command}`);
      signal(pid, "SIGKILL", word);
    }
    const files = readdirSync(temporary);
    if (files.length > 0) broken.push(`temporary files are left: ${files.join(", ")}`);
    return broken;
  } finally {
    for (const { pid } of processesWith(word)) signal(pid, "SIGKILL", word);
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Checks the outcomes of waits that the program reports. If a death was visible from `at` on, that must have ended
 * them, not their own timeouts.
 */
function judge(program: Program, at: number | undefined): string[] {
  const ended = program.events.find((event) => event.event === "ended");
  if (ended?.event !== "ended") return [`the program has not told how its waits ended: ${program.said}`];
  return ended.outcomes.flatMap(({ name, code, error, endedAt }: Outcome) => {
    if (code === undefined) return [];
    if (!code.startsWith("ERR_")) return [`${name} failed with what no caller was promised: ${error}`];
    if (at === undefined || !/^ERR_TIMEOUT/.test(code)) return [];
    return endedAt - at > NOTICE_MS
      ? [`${name} was told by its timeout alone, ${endedAt - at} ms after: ${error}`]
      : [];
  });
}

/** Does the action. Returns whether the other processes can see it. */
async function disturb(
  { victim, action, killsProgram }: Plan,
  program: Program,
  word: string,
): Promise<boolean> {
  const pids: Partial<Record<Plan["victim"], number>> = { ...program.connected, program: program.pid };
  if (program.connected === undefined) {
    // During the first connects, it takes any process that there is.
    const others = processesWith(word).filter(({ pid }) => pid !== program.pid);
    const some = isOfLink(action) ? others.find(({ command }) => command.includes("link.js")) : others[0];
    if (some !== undefined && victim !== "program") pids[victim] = some.pid;
  }
  const pid = pids[victim];
  if (pid === undefined) return false;
  if (isOfLink(action)) signal(pid, "SIGUSR2", word);
  else {
    signal(pid, action as NodeJS.Signals, word);
    if (action === "SIGSTOP") {
      await pause(STOPPED_MS);
      signal(pid, "SIGCONT", word);
    }
  }
  if (killsProgram) {
    await pause(100);
    signal(program.pid, "SIGKILL", word);
  }
  // A shell in the middle may end while the pipes stay open, and a silent process is not gone.
  return action === "reset" || ((action === "SIGKILL" || action === "SIGTERM") && !victim.startsWith("tool"));
}

/** The program of the round, and its events. */
class Program {
  readonly events: Event[] = [];
  readonly pid: number;
  /** Looked up while all processes are there. */
  connected: Partial<Record<Plan["victim"], number>> | undefined;
  readonly #ended: Promise<void>;
  readonly #waiting: Set<() => void> = new Set();
  #hasEnded = false;
  #stderr = "";

  constructor(setting: Setting, env: Record<string, string>) {
    const path = fileURLToPath(new URL("program.js", import.meta.url));
    const { NODE_TEST_CONTEXT: _, ...own } = process.env;
    const child = spawn(process.execPath, [path, JSON.stringify(setting)], {
      env: { ...own, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.pid = child.pid as number;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const event = JSON.parse(line) as Event;
      this.events.push(event);
      if (event.event === "connected") {
        const { hop, target } = event;
        const tools = { "tool of the hop": parentOf(hop), "tool of the target": parentOf(target) };
        this.connected = { hop, target, ...tools };
      }
      this.wake();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2_000);
    });
    // Not `close`, because processes that are left may hold its pipes.
    this.#ended = new Promise((resolve) => {
      child.once("exit", () => {
        this.#hasEnded = true;
        this.wake();
        setImmediate(() => {
          for (const stream of [child.stdout, child.stderr]) stream.destroy();
          resolve();
        });
      });
    });
  }

  get said(): string {
    return `${JSON.stringify(this.events)} ${this.#stderr}`;
  }

  /** Resolves at that event, or at the program's end. */
  async until(name: Event["event"]): Promise<void> {
    while (!this.#hasEnded && !this.events.some(({ event }) => event === name)) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async hasEnded(withinMs: number): Promise<boolean> {
    const abort = new AbortController();
    const late = pause(withinMs, false, { signal: abort.signal }).catch(() => false);
    const isOver = await Promise.race([this.#ended.then(() => true), late]);
    abort.abort();
    return isOver;
  }

  private wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
