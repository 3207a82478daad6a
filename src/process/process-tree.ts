import { readdirSync, readFileSync } from "node:fs";

/** A process, told from a later one of the same pid by when it started. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  readonly group: number;
  /** In clock ticks since boot: proc(5), field 22 of stat. */
  readonly startTime: string;
}

/**
 * The processes below this one that share its process group: what user code started and did not set apart. Daemons, which lead
 * a group of their own, are meant to stay. Empty where there is no /proc.
 */
export function subprocesses(childrenOf: (pid: number) => ProcessInfo[] = readChildren): ProcessInfo[] {
  const found = readIfThere(`${process.pid}`);
  try {
    // Grows while it is walked.
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
 * By the kernel's own lists, one for each thread: reading all of /proc would cost every context of a machine as much as there are processes
 * on it. Throws where the kernel has none, and when a thread or a process ends meanwhile: that may hide another, proc(5).
 */
function readChildren(parent: number): ProcessInfo[] {
  const tasks = `/proc/${parent}/task`;
  return readdirSync(tasks)
    .flatMap((thread) => readFileSync(`${tasks}/${thread}/children`, "latin1").split(" ").filter(Number))
    .flatMap(readProcess);
}

/** Zombies have ended: they are left out. Empty where there is no /proc. */
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

/** Empty for a zombie: it has ended, but its parent may be too busy to notice. Throws where there is no such process. */
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
