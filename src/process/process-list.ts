import { listProcesses, type ProcessInfo } from "./process-tree.ts";

/** All processes in `/proc`, without zombies, which have ended. Empty if there is no `/proc`. */
export class ProcessList {
  readonly #byPid: Map<number, ProcessInfo> = new Map();
  readonly #byParent: Map<number, ProcessInfo[]> = new Map();
  readonly #byGroup: Map<number, ProcessInfo[]> = new Map();

  constructor(processes: readonly ProcessInfo[]) {
    for (const info of processes) {
      this.#byPid.set(info.pid, info);
      addTo(this.#byParent, info.parentPid, info);
      addTo(this.#byGroup, info.group, info);
    }
  }

  get isEmpty(): boolean {
    return this.#byPid.size === 0;
  }

  get(pid: number): ProcessInfo | undefined {
    return this.#byPid.get(pid);
  }

  childrenOf(pid: number): readonly ProcessInfo[] {
    return this.#byParent.get(pid) ?? [];
  }

  inGroup(group: number): readonly ProcessInfo[] {
    return this.#byGroup.get(group) ?? [];
  }
}

function addTo(table: Map<number, ProcessInfo[]>, key: number, info: ProcessInfo): void {
  const known = table.get(key);
  if (known === undefined) table.set(key, [info]);
  else known.push(info);
}

let next: Promise<ProcessList> | undefined;

/**
 * Returns the list of processes at the end of this turn of the event loop. All callers of a turn share it,
 * because many trees end together, and each would read all of `/proc`. The list is never older than the call:
 * on an older one, a daemon could still have a parent that has ended since.
 */
export function nextProcessList(): Promise<ProcessList> {
  next ??= new Promise((resolve) => {
    setImmediate(() => {
      next = undefined;
      resolve(new ProcessList(listProcesses()));
    });
  });
  return next;
}
