import { listProcesses, type ProcessInfo } from "./process-tree.ts";

/** How long the first signal may take before SIGKILL, and how long that is repeated for what was started meanwhile. */
const GRACE_MS = 1000;
/** How often is looked for processes that are not our own children: of their end the kernel tells only their parent. */
const POLL_MS = 20;

/**
 * Ends a process of ours and what it started: by `signal`, and by SIGKILL what is left a second later. Sends the first before it returns;
 * resolves when nothing is left, or what is left cannot be ended; never rejects, keeps nothing alive. `hasEnded` tells whether the
 * process has been reaped: from then on its pid may be another's. With `isLeader` it was started in a process group of its own.
 */
export async function endTree(
  pid: number,
  signal: NodeJS.Signals,
  hasEnded: () => boolean,
  isLeader = false,
): Promise<void> {
  const tree = new ProcessTree(pid, hasEnded, isLeader);
  const killAt = Date.now() + GRACE_MS;
  tree.signal(signal);
  while (tree.isThere) {
    const now = Date.now();
    if (now >= killAt + GRACE_MS) return;
    if (now >= killAt) tree.signal("SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, POLL_MS).unref());
  }
}

/** A process and what it started, looked up anew for every signal: a shell that traps SIGTERM starts something afterwards. */
export class ProcessTree {
  readonly #pid: number;
  readonly #hasEnded: () => boolean;
  readonly #isLeader: boolean;
  /** Kept, for once a shell in the middle has ended, what it started is nobody's descendant any more. */
  #known: readonly ProcessInfo[] = [];
  readonly #sent: Map<number, NodeJS.Signals> = new Map();
  /** The process groups that these processes lead, and whether no member was found the last time. */
  readonly #groups: Map<number, boolean> = new Map();

  constructor(pid: number, hasEnded: () => boolean, isLeader: boolean) {
    this.#pid = pid;
    this.#hasEnded = hasEnded;
    this.#isLeader = isLeader;
    if (isLeader) this.#groups.set(pid, false);
  }

  /** Sends it to all there are that have not been sent it before. */
  signal(signal: NodeJS.Signals): void {
    const pids = this.pids();
    for (const pid of signal === "SIGKILL" ? this.withGroups(pids) : pids) {
      if (this.#sent.get(pid) === signal) continue;
      this.#sent.set(pid, signal);
      send(pid, signal);
    }
  }

  get isThere(): boolean {
    return this.pids().length > 0 || this.#groups.size > 0;
  }

  /** Groups as wholes, and who is in none: what starts another and ends at once is never there when its own turn comes. */
  private withGroups(pids: readonly number[]): number[] {
    const members = new Set(this.#known.filter(({ group }) => this.#groups.has(group)).map(({ pid }) => pid));
    const groups = [...this.#groups].filter(([, isEmpty]) => !isEmpty).map(([group]) => -group);
    return [...groups, ...pids.filter((pid) => !members.has(pid))];
  }

  private pids(): number[] {
    const hasEnded = this.#hasEnded();
    const all = listProcesses();
    // Where there is no /proc, its group is what can be known of what it started.
    if (all.length === 0 && this.#isLeader) {
      if (send(-this.#pid, 0)) return [-this.#pid];
      this.#groups.clear();
      return [];
    }
    this.#known = this.look(all, hasEnded);
    const pids = this.#known.map(({ pid }) => pid);
    if (!hasEnded && !pids.includes(this.#pid)) pids.push(this.#pid);
    return pids;
  }

  private look(all: readonly ProcessInfo[], hasEnded: boolean): ProcessInfo[] {
    const starts = new Map(this.#known.map(({ pid, startTime }) => [pid, startTime]));
    const found = all.filter(
      ({ pid, group, startTime }) =>
        starts.get(pid) === startTime || this.#groups.has(group) || (pid === this.#pid && !hasEnded),
    );
    const pids = new Set(found.map(({ pid }) => pid));
    // Grows while it is walked.
    for (const { pid, group } of found) {
      if (pid === group) this.#groups.set(group, false);
      for (const info of all) {
        if (pids.has(info.pid) || (info.parentPid !== pid && !this.#groups.has(info.group))) continue;
        pids.add(info.pid);
        found.push(info);
      }
    }
    // The number of a group that has no member left may become another's. One look is not enough: a process that was started while
    // the list was being read is not on it, and the one that started it may have ended before its turn came.
    for (const [each, wasEmpty] of this.#groups) {
      const isEmpty = !found.some(({ group }) => group === each);
      if (!isEmpty || !wasEmpty) this.#groups.set(each, isEmpty);
      else {
        this.#groups.delete(each);
        // What always starts another and ends may never be on a list.
        send(-each, "SIGKILL");
      }
    }
    return found;
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
