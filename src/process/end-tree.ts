import { nextProcessList, type ProcessList } from "./process-list.ts";
import { listProcesses, type ProcessInfo } from "./process-tree.ts";

/** How long the first signal may take before SIGKILL, and how long that is repeated for what was started meanwhile. */
const GRACE_MS = 1000;
/** How often is looked for processes that are not our own children: of their end the kernel tells only their parent. */
const POLL_MS = 20;

/**
 * Ends a process of ours and what it started: by `signal`, and by SIGKILL what is left a second later. Sends the first at the end of
 * this turn of the event loop; resolves when nothing is left, or what is left cannot be ended; never rejects, keeps nothing alive.
 * `hasEnded` tells whether the process has been reaped: from then on its pid may be another's. With `isLeader` it was started in a
 * process group of its own.
 */
export async function endTree(
  pid: number,
  signal: NodeJS.Signals,
  hasEnded: () => boolean,
  isLeader = false,
): Promise<void> {
  const tree = new ProcessTree(pid, hasEnded, isLeader);
  const killAt = Date.now() + GRACE_MS;
  let next: NodeJS.Signals | undefined = signal;
  while (tree.isIn(await nextProcessList())) {
    if (next !== undefined) tree.signal(next);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS).unref());
    const now = Date.now();
    if (now >= killAt + GRACE_MS) return;
    next = now >= killAt ? "SIGKILL" : undefined;
  }
}

/** Kills processes of ours, and what they have started, at once: for the end of this process, which can wait for nothing. */
export function killTrees(pids: ReadonlySet<number>): void {
  if (pids.size === 0) return;
  const all = listProcesses();
  const found = all.filter(({ pid }) => pids.has(pid));
  // Grows while it is walked.
  for (const { pid } of found) found.push(...all.filter(({ parentPid }) => parentPid === pid));
  for (const { pid } of found) send(pid, "SIGKILL");
}

/** A process and what it started, looked up anew for every signal: a shell that traps SIGTERM starts something afterwards. */
class ProcessTree {
  readonly #pid: number;
  readonly #hasEnded: () => boolean;
  readonly #isLeader: boolean;
  /** Kept, for once a shell in the middle has ended, what it started is nobody's descendant any more. */
  #known: readonly ProcessInfo[] = [];
  /** What there is to signal, by the last list. */
  #pids: readonly number[] = [];
  readonly #sent: Map<number, NodeJS.Signals> = new Map();
  /** The process groups that these processes lead, and whether no member was found the last time. */
  readonly #groups: Map<number, boolean> = new Map();

  constructor(pid: number, hasEnded: () => boolean, isLeader: boolean) {
    this.#pid = pid;
    this.#hasEnded = hasEnded;
    this.#isLeader = isLeader;
    if (isLeader) this.#groups.set(pid, false);
  }

  /** Sends it to all that were on the last list and have not been sent it before. */
  signal(signal: NodeJS.Signals): void {
    for (const pid of signal === "SIGKILL" ? this.withGroups(this.#pids) : this.#pids) {
      if (this.#sent.get(pid) === signal) continue;
      this.#sent.set(pid, signal);
      send(pid, signal);
    }
  }

  /** Looks it up. Whether there may be anything of it. */
  isIn(list: ProcessList): boolean {
    this.#pids = this.pidsIn(list);
    return this.#pids.length > 0 || this.#groups.size > 0;
  }

  /** Groups as wholes, and who is in none: what starts another and ends at once is never there when its own turn comes. */
  private withGroups(pids: readonly number[]): number[] {
    const members = new Set(this.#known.filter(({ group }) => this.#groups.has(group)).map(({ pid }) => pid));
    const groups = [...this.#groups].filter(([, isEmpty]) => !isEmpty).map(([group]) => -group);
    return [...groups, ...pids.filter((pid) => !members.has(pid))];
  }

  private pidsIn(list: ProcessList): number[] {
    const hasEnded = this.#hasEnded();
    // Where there is no /proc, its group is what can be known of what it started.
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
    // Grows while it is walked.
    for (const { pid, group } of found.values()) {
      list.childrenOf(pid).forEach(add);
      if (pid !== group) continue;
      this.#groups.set(group, false);
      list.inGroup(group).forEach(add);
    }
    // The number of a group that has no member left may become another's. One look is not enough: a process that was started while
    // the list was being read is not on it, and the one that started it may have ended before its turn came.
    for (const [group, wasEmpty] of this.#groups) {
      const isEmpty = list.inGroup(group).length === 0;
      if (!isEmpty || !wasEmpty) this.#groups.set(group, isEmpty);
      else {
        this.#groups.delete(group);
        // What always starts another and ends may never be on a list.
        send(-group, "SIGKILL");
      }
    }
    return [...found.values()];
  }
}

/** Whether it is there and may be signalled. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false; // Gone, or another user's.
  }
}
