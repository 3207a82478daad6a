import { readdirSync, readFileSync } from "node:fs";

/** A process. Its start time distinguishes it from a later one with the same pid. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  readonly group: number;
  /** In clock ticks since boot: proc(5), field 22 of stat. */
  readonly startTime: string;
}

/**
 * The processes below this one that share its process group: those that user code started and did not detach.
 * Daemons, which lead a group of their own, are meant to stay. Empty if there is no /proc.
 */
export function subprocesses(childrenOf: (pid: number) => ProcessInfo[] = readChildren): ProcessInfo[] {
  const found = readIfThere(`${process.pid}`);
  try {
    // The list grows during the loop.
    for (const { pid, group } of found)
      found.push(...childrenOf(pid).filter((child) => child.group === group));
    found.shift();
    return found;
  } catch {
    const all = listProcesses();
    return subprocesses((parent) => all.filter(({ parentPid }) => parentPid === parent));
  }
}

/**
 * Reads the kernel's own lists of children, one for each thread. Reading all of /proc takes longer the more
 * processes the machine runs. Throws if the kernel has no such lists, and if a thread or a process ends
 * meanwhile, because that may hide another process: proc(5).
 */
function readChildren(parent: number): ProcessInfo[] {
  const tasks = `/proc/${parent}/task`;
  return readdirSync(tasks)
    .flatMap((thread) => readFileSync(`${tasks}/${thread}/children`, "latin1").split(" ").filter(Number))
    .flatMap(readProcess);
}

/** Reads /proc, without zombies, which have ended. Empty if there is no /proc. */
export function listProcesses(): ProcessInfo[] {
  try {
    return readdirSync("/proc").filter(Number).flatMap(readIfThere);
  } catch {
    return []; // Not Linux.
  }
}

function readIfThere(pid: string): ProcessInfo[] {
  try {
    return readProcess(pid);
  } catch {
    return [];
  }
}

/**
 * Empty for a zombie, which has ended although its parent may be too busy to notice. Throws if there is no
 * such process.
 */
function readProcess(pid: string): ProcessInfo[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // pid (comm) state ppid pgrp …: comm may hold anything, even parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parentPid, group] = fields;
  if (state === "Z") return [];
  return [
    { pid: Number(pid), parentPid: Number(parentPid), group: Number(group), startTime: fields[19] as string },
  ];
}
