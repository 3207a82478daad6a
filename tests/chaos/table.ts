/** The processes of a round. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const POLL_MS = 50;

export interface Row {
  readonly pid: number;
  readonly parentPid: number;
  readonly command: string;
}

/**
 * Processes that have `word` in their environment, which children inherit. Without a word, all but this one and
 * those above it.
 */
export function processesWith(word?: string): Row[] {
  const rows: Row[] = [];
  const above = word === undefined ? ancestors() : new Set<number>();
  for (const name of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const [pid, stat] = [Number(name), read(`/proc/${name}/stat`)];
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // Zombies do not count. Their parent must reap them: the first process of the namespace, or a program that has
    // been stopped.
    if (state === undefined || state === "Z" || state === "X" || above.has(pid)) continue;
    if (word !== undefined && !read(`/proc/${name}/environ`).includes(word)) continue;
    const command = read(`/proc/${name}/cmdline`).replaceAll("\0", " ").slice(0, 150);
    rows.push({ pid, parentPid: Number(parent), command });
  }
  return rows;
}

export const parentOf = (pid: number): number => {
  const stat = read(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
};

/** The processes that are left after `withinMs`. Returns as soon as none is left. */
export async function left(look: () => Row[], withinMs: number): Promise<Row[]> {
  for (const deadline = performance.now() + withinMs; ; await pause(POLL_MS)) {
    const rows = look();
    if (rows.length === 0 || performance.now() > deadline) return rows;
  }
}

/** Signals a process only if it has `word` in its environment, because ids are used again. */
export function signal(pid: number, name: NodeJS.Signals, word: string): boolean {
  if (!read(`/proc/${pid}/environ`).includes(word)) return false;
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

function ancestors(): Set<number> {
  const found = new Set([process.pid]);
  for (let at = process.ppid; at > 0; at = parentOf(at)) found.add(at);
  return found;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
