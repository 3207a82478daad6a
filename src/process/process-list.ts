import { listProcesses, type ProcessInfo } from "./process-tree.ts";

/** All processes, as `/proc` had them. Zombies have ended: they are left out. Empty where there is no `/proc`. */
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
 * What there is at the end of this turn of the event loop. One list for all who ask in a turn: many trees end together, and each would read
 * all of `/proc`. It is never older than the question: what was the parent of a daemon may have ended since.
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
