/** System calls per thread, as strace sees them. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { byTurns, NODE_FLAGS, programPath, run } from "./run.ts";
import { perOperation } from "./windows.ts";

/** Leaves out the system calls that V8 makes for itself: memory, locks between its threads, and random numbers. */
const LEFT_OUT = "trace=!%memory,%signal,futex,sched_yield,getpid";
/**
 * Waits for the next event, and calls that wake a waiting thread, are counted apart: how many there are depends on
 * which events come together. `system calls` are all others, and `writes`, to pipes and sockets, are some of
 * these.
 */
export const KINDS = ["writes", "system calls", "waits and wake-ups"] as const;
type Kind = (typeof KINDS)[number];

/**
 * A line of strace: the thread, the system call, the file behind its descriptor, and the mark of a window.
 */
const LINE = /^(\d+) +(\w+)\((?:\d+<([^>]*)>?)?(?:[^"]*"\/mitogen-counts\/(begin|end)\/([^"]*)")?/;

function straced(argv: readonly string[], output: string): string[] {
  return ["strace", "-f", "-qq", "-y", "-e", LEFT_OUT, "-o", output, ...argv];
}

/** Why system calls cannot be counted here, or false. */
export function straceMissing(): string | false {
  if (process.platform !== "linux") return "Needs strace, which is for Linux";
  const [command, ...args] = straced(["true"], "/dev/null") as [string, ...string[]];
  const { error, status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === 0) return false;
  return `Needs strace: ${error?.message ?? stderr.trim()}`;
}

/** System calls per call, by name. Each is the least of its windows. */
export async function countSyscalls(
  node: string,
  functions: string,
  folder: string,
  what = "marks",
): Promise<Record<string, number>> {
  const output = join(folder, `strace-${what}`);
  const program = [node, ...NODE_FLAGS, programPath("calls-program"), functions, what];
  const threads = JSON.parse(await run(byTurns(straced(program, output)))) as Record<string, number>;
  const windows = [...windowsOf(readFileSync(output, "latin1"))];
  const found: Record<string, number> = {};
  for (const [name, id] of Object.entries(threads)) {
    const own = windows.filter((window) => name.startsWith(`${window.name} / `));
    if (own.length === 0) throw new Error(`strace shows no window of ${name}`);
    for (const kind of KINDS) {
      const totals = own.map(({ threads }) => threads.get(id)?.[kind] ?? 0);
      found[`${name} / ${kind}`] = perOperation(kind, Math.min(...totals));
    }
  }
  return found;
}

interface Window {
  readonly name: string;
  readonly threads: Map<number, Record<Kind, number>>;
}

function* windowsOf(trace: string): Iterable<Window> {
  let window: Window | undefined;
  for (const line of trace.split("\n")) {
    const [, id, call, file = "", edge, name] = LINE.exec(line) ?? [];
    if (edge === "begin") window = { name: name as string, threads: new Map() };
    else if (edge === "end" && window !== undefined) {
      yield window;
      window = undefined;
    } else if (window !== undefined && id !== undefined) {
      const thread = window.threads.get(Number(id)) ?? {
        writes: 0,
        "system calls": 0,
        "waits and wake-ups": 0,
      };
      window.threads.set(Number(id), thread);
      if (/^(epoll|poll|select)/.test(call as string) || file.includes("eventfd")) {
        thread["waits and wake-ups"] += 1;
      } else {
        thread["system calls"] += 1;
        if (/^(write|send|pwrite)/.test(call as string)) thread.writes += 1;
      }
    }
  }
}
