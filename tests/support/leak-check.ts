import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { after, before } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

/** Descriptors that Node may open for itself once and keep. */
const FD_TOLERANCE = 2;
/** The descriptors by which this process holds a child that may stay. */
const STDIO = 3;
/** How long closed things may take to be gone, on a busy machine. */
const CLOSING_MS = 10_000;

export interface LeakCheckOptions {
  /** Children whose command line matches may outlive the tests. */
  ignoreCommand?: RegExp;
}

/**
 * Fails the test file it is called in if, after its last test, this process has children (zombies too), more
 * or fewer descriptors than before the first, or anything new that keeps its event loop alive.
 *
 * Call it once, at the top level of the file. It ends the children that it finds, so that they disturb nobody.
 */
export function checkLeaks({ ignoreCommand }: LeakCheckOptions = {}): void {
  let fdsBefore = 0;
  /** Another file that shares this process may let them stay. */
  let childrenBefore = new Set<number>();
  let resourcesBefore: string[] = [];
  before(() => {
    openSignalPipe();
    // Importing `node:process` opens the streams. A module of the loader does so here, but not in dist/.
    for (const stream of [process.stdin, process.stdout, process.stderr]) assert.ok(stream !== undefined);
    fdsBefore = fdCount();
    resourcesBefore = process.getActiveResourcesInfo();
    childrenBefore = new Set(childrenOf(process.pid).map(({ pid }) => pid));
  });
  after(async () => {
    const isMeantToStay = ({ pid }: ProcessStat): boolean =>
      childrenBefore.has(pid) || ignoreCommand?.test(commandOf(pid)) === true;
    const children = (): ProcessStat[] => childrenOf(process.pid).filter((each) => !isMeantToStay(each));
    const tolerance = FD_TOLERANCE + STDIO * childrenOf(process.pid).filter(isMeantToStay).length;
    const leaks = (): string[] => [
      ...children().map(({ pid, state }) => `child ${pid} (${state}): ${commandOf(pid)}`),
      ...(Math.abs(fdCount() - fdsBefore) > tolerance
        ? [`descriptors: ${fdsBefore} → ${describeFds()}`]
        : []),
      ...surplus(process.getActiveResourcesInfo(), resourcesBefore).map((type) => `active: ${type}`),
    ];
    const found = await until(leaks, CLOSING_MS);
    if (found.length === 0) return;
    for (const { pid } of children()) for (const each of [...descendants(pid), pid]) kill(each);
    throw new Error(`The tests of ${process.argv[1]} left behind:\n  ${found.join("\n  ")}`);
  });
}

/**
 * Waits until none of `pids` lives. Returns those that still live after `withinMs`. A zombie counts as alive if one
 * of our processes should reap it; one that waits for the machine's init does not count.
 */
export async function processesGone(pids: number[], withinMs: number): Promise<number[]> {
  const inits = ancestors();
  const isAlive = (pid: number): boolean => {
    const found = statOf(pid);
    return found !== undefined && !(found.state === "Z" && inits.has(found.parent));
  };
  return await until(() => pids.filter(isAlive), withinMs);
}

/** Every process below `pid`, parents before their children. Empty where there is no `/proc`. */
export function descendants(pid: number): number[] {
  const all = processes();
  const found = [pid];
  for (const parent of found) {
    for (const each of all) if (each.parent === parent) found.push(each.pid);
  }
  return found.slice(1);
}

/**
 * The number of open descriptors of this process, when it is about `before`: the event loop closes them a little
 * later.
 */
export async function settledFdCount(before: number, withinMs: number = 2000): Promise<number> {
  await until(() => (Math.abs(fdCount() - before) > FD_TOLERANCE ? ["too many"] : []), withinMs);
  return fdCount();
}

/** Open descriptors of this process; 0 where there is no `/proc`. */
export function fdCount(): number {
  return entriesOf("/proc/self/fd").length;
}

interface ProcessStat {
  pid: number;
  /** One letter, as in proc(5): `Z` is a zombie. */
  state: string;
  parent: number;
}

/** Polls, because the kernel does not announce such changes. Stops at an empty answer or at the deadline. */
async function until<T>(check: () => T[], withinMs: number): Promise<T[]> {
  for (const deadline = performance.now() + withinMs; ; ) {
    const left = check();
    if (left.length === 0 || performance.now() > deadline) return left;
    await pause(10);
  }
}

function childrenOf(parent: number): ProcessStat[] {
  return processes().filter((each) => each.parent === parent);
}

/** The processes above this one. One of them inherits orphans. */
function ancestors(): Set<number> {
  const found = new Set<number>();
  for (let at = statOf(process.pid)?.parent; at; at = statOf(at)?.parent) found.add(at);
  return found;
}

function processes(): ProcessStat[] {
  return entriesOf("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat !== undefined);
}

function statOf(pid: number): ProcessStat | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything.
  const [state, parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return state && parent ? { pid, state, parent: Number(parent) } : undefined;
}

/** The command line of a process, its first 200 characters; empty if it is gone. */
export function commandOf(pid: number): string {
  return readOrEmpty(`/proc/${pid}/cmdline`).split("\0").join(" ").trim().slice(0, 200);
}

/** Whether a process is a reaper (src/process/reaper.ts). It starts with the first tool, and ends after the last. */
export function isReaper(pid: number): boolean {
  return commandOf(pid).startsWith('sh -c trap "" 1 2 3 15');
}

function describeFds(): string {
  const targets = entriesOf("/proc/self/fd").map((fd) => {
    try {
      return `${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`;
    } catch {
      return `${fd} closed`; // The descriptor that listed the folder.
    }
  });
  return `${targets.length} (${targets.join(", ")})`;
}

/** Node opens this pipe with the first child and keeps it. That is no leak, so the pipe is opened before counting. */
function openSignalPipe(): void {
  const ignore = (): void => {};
  process.on("SIGWINCH", ignore);
  process.off("SIGWINCH", ignore);
}

/** What `now` holds more often than `then`. */
function surplus(now: string[], then: string[]): string[] {
  const left = [...then];
  return now.filter((type) => {
    const at = left.indexOf(type);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // The process ended meanwhile.
  }
}

function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // The process ended meanwhile.
  }
}
