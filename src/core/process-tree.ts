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
 * The processes below `rootPid` that share its process group: what user code started and did not set apart. Daemons, which lead
 * a group of their own, are meant to stay. Empty where there is no /proc.
 */
export function descendantsInGroup(rootPid: number): ProcessInfo[] {
  const processes = listProcesses();
  const group = processes.find(({ pid }) => pid === rootPid)?.group;
  return below(
    rootPid,
    processes.filter((info) => info.group === group),
  );
}

function below(rootPid: number, processes: readonly ProcessInfo[]): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  const parents = [rootPid];
  for (const parent of parents) {
    for (const info of processes) {
      if (info.parentPid !== parent) continue;
      found.push(info);
      parents.push(info.pid);
    }
  }
  return found;
}

/** Zombies have ended: they are left out. Empty where there is no /proc. */
export function listProcesses(): ProcessInfo[] {
  let names: string[] = [];
  try {
    names = readdirSync("/proc");
  } catch {
    // Not Linux.
  }
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(readProcess)
    .filter((info): info is ProcessInfo => info !== undefined);
}

function readProcess(name: string): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${name}/stat`, "latin1");
    // pid (comm) state ppid pgrp …: comm may hold anything, even parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, parentPid, group] = fields;
    // A zombie has ended; its parent may be too busy to notice.
    if (state === "Z") return undefined;
    const startTime = String(fields[19]);
    return { pid: Number(name), parentPid: Number(parentPid), group: Number(group), startTime };
  } catch {
    return undefined; // it ended meanwhile
  }
}
