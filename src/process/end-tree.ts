import { monotonicMs } from "../waiting/monotonic.ts";
import { nextProcessList, type ProcessList } from "./process-list.ts";
import { listProcesses, type ProcessInfo } from "./process-tree.ts";

/**
 * How long the first signal may take before SIGKILL, and for how long SIGKILL is repeated for processes
 * started meanwhile.
 */
const GRACE_MS = 1000;
/**
 * How often to check processes that are not our own children: the kernel reports their end only to their
 * parent.
 */
const POLL_MS = 20;

/**
 * Ends a process and everything it started: by `signal`, and a second later the rest by SIGKILL. Sends the
 * first signal at the end of this turn of the event loop. Resolves when nothing is left, or when the rest
 * cannot be ended. Never rejects; keeps nothing alive. `hasEnded` says whether the process has been reaped:
 * from then on its pid may belong to another process. `isLeader` says that the process was started in a group
 * of its own.
 */
export async function endTree(
  pid: number,
  signal: NodeJS.Signals,
  hasEnded: () => boolean,
  isLeader = false,
): Promise<void> {
  const tree = new ProcessTree(pid, hasEnded, isLeader);
  const killAt = monotonicMs() + GRACE_MS;
  let next: NodeJS.Signals | undefined = signal;
  while (tree.isIn(await nextProcessList())) {
    if (next !== undefined) tree.signal(next);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS).unref());
    const now = monotonicMs();
    if (now >= killAt + GRACE_MS) return;
    next = now >= killAt ? "SIGKILL" : undefined;
  }
}

/**
 * Kills processes of this program, and the processes below them, without waiting. This is for the end of the
 * program, when nothing can wait.
 */
export function killTrees(pids: ReadonlySet<number>): void {
  if (pids.size === 0) return;
  const all = listProcesses();
  const found = all.filter(({ pid }) => pids.has(pid));
  // The list grows during the loop.
  for (const { pid } of found) found.push(...all.filter(({ parentPid }) => parentPid === pid));
  for (const { pid } of found) send(pid, "SIGKILL");
}

/**
 * A process and the processes that it started. They are looked up again for every signal, because a shell
 * that traps SIGTERM starts others afterwards.
 */
class ProcessTree {
  readonly #pid: number;
  readonly #hasEnded: () => boolean;
  readonly #isLeader: boolean;
  /** Kept, because the children of a shell in between are nobody's descendants once the shell has ended. */
  #known: readonly ProcessInfo[] = [];
  /** The processes to signal, according to the last list. */
  #pids: readonly number[] = [];
  readonly #sent: Map<number, NodeJS.Signals> = new Map();
  /** The process groups that these processes lead, and whether the last list had no member of the group. */
  readonly #groups: Map<number, boolean> = new Map();

  constructor(pid: number, hasEnded: () => boolean, isLeader: boolean) {
    this.#pid = pid;
    this.#hasEnded = hasEnded;
    this.#isLeader = isLeader;
    if (isLeader) this.#groups.set(pid, false);
  }

  /** Sends the signal to all processes on the last list that have not had it yet. */
  signal(signal: NodeJS.Signals): void {
    for (const pid of signal === "SIGKILL" ? this.withGroups(this.#pids) : this.#pids) {
      if (this.#sent.get(pid) === signal) continue;
      this.#sent.set(pid, signal);
      send(pid, signal);
    }
  }

  /** Finds the tree's processes on a new list. Returns whether any may be left. */
  isIn(list: ProcessList): boolean {
    this.#pids = this.pidsIn(list);
    return this.#pids.length > 0 || this.#groups.size > 0;
  }

  /**
   * Replaces the members of known groups by their group. A process that starts another one and ends at once is
   * gone when its own turn comes, but its group is not.
   */
  private withGroups(pids: readonly number[]): number[] {
    const members = new Set(this.#known.filter(({ group }) => this.#groups.has(group)).map(({ pid }) => pid));
    const groups = [...this.#groups].filter(([, isEmpty]) => !isEmpty).map(([group]) => -group);
    return [...groups, ...pids.filter((pid) => !members.has(pid))];
  }

  private pidsIn(list: ProcessList): number[] {
    const hasEnded = this.#hasEnded();
    // Without /proc, only the group of the leader is known.
    if (list.isEmpty && this.#isLeader) {
      if (send(-this.#pid, 0)) return [-this.#pid];
      this.#groups.clear();
      return [];
    }
    this.#known = this.look(list, hasEnded);
    const pids = this.#known.map(({ pid }) => pid);
    if (!hasEnded && !pids.includes(this.#pid)) pids.push(this.#pid);
    return pids;
  }

  private look(list: ProcessList, hasEnded: boolean): ProcessInfo[] {
    const found = new Map<number, ProcessInfo>();
    const add = (info: ProcessInfo | undefined): void => {
      if (info !== undefined) found.set(info.pid, info);
    };
    for (const { pid, startTime } of this.#known) {
      const info = list.get(pid);
      if (info?.startTime === startTime) add(info);
    }
    for (const group of this.#groups.keys()) list.inGroup(group).forEach(add);
    if (!hasEnded) add(list.get(this.#pid));
    // The list grows during the loop.
    for (const { pid, group } of found.values()) {
      list.childrenOf(pid).forEach(add);
      if (pid !== group) continue;
      this.#groups.set(group, false);
      list.inGroup(group).forEach(add);
    }
    // The number of an empty group may be used again. One check is not enough: a process that was started
    // while the list was being read is not on it, and its parent may have ended before its turn came.
    for (const [group, wasEmpty] of this.#groups) {
      const isEmpty = list.inGroup(group).length === 0;
      if (!isEmpty || !wasEmpty) this.#groups.set(group, isEmpty);
      else {
        this.#groups.delete(group);
        // A process that always starts another one and ends may never be on a list.
        send(-group, "SIGKILL");
      }
    }
    return [...found.values()];
  }
}

/** Sends a signal; 0 only checks. Returns whether the process, or group, exists and may be signalled. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false; // Gone, or another user's.
  }
}
