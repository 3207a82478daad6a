import { readdirSync, readFileSync } from "node:fs";

interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  readonly group: number;
}

/**
 * The processes below `rootPid` that share its process group: what user code started and did not set apart. Daemons, which lead
 * a group of their own, are meant to stay. Empty where there is no /proc (proc(5)).
 */
export function descendantsInGroup(rootPid: number): number[] {
  const processes = listProcesses();
  const group = processes.find(({ pid }) => pid === rootPid)?.group;
  return below(
    rootPid,
    processes.filter((info) => info.group === group),
  );
}

/** All processes below `rootPid`. Empty where there is no /proc. */
export function descendants(rootPid: number): number[] {
  return below(rootPid, listProcesses());
}

function below(rootPid: number, processes: readonly ProcessInfo[]): number[] {
  const found: number[] = [];
  const parents = [rootPid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const { pid, parentPid } of processes) {
      if (parentPid !== parent) continue;
      found.push(pid);
      parents.push(pid);
    }
  }
  return found;
}

function listProcesses(): ProcessInfo[] {
  const processes: ProcessInfo[] = [];
  let names: string[] = [];
  try {
    names = readdirSync("/proc");
  } catch {
    return processes;
  }
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      // pid (comm) state ppid pgrp …: comm may hold anything, even parentheses.
      const [, parentPid, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      processes.push({ pid: Number(name), parentPid: Number(parentPid), group: Number(group) });
    } catch {
      // It ended meanwhile.
    }
  }
  return processes;
}
