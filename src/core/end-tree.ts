import { descendants, isRunning } from "./process-tree.ts";

/** How long the first signal may take before SIGKILL. */
const GRACE_MS = 1000;

/**
 * Ends a process of ours, and what it started: by `signal`, and by SIGKILL what is left a second later. Returns once the first has been
 * sent; keeps nothing alive. `hasEnded` tells whether the process has been reaped: from then on its pid may be another's.
 */
export function endTree(pid: number, signal: NodeJS.Signals, hasEnded: () => boolean): void {
  // Looked up now: once a shell in the middle has ended, what it started is nobody's descendant any more.
  const tree = descendants(pid);
  const send = (name: NodeJS.Signals): void => {
    const pids = tree.filter(isRunning).map((info) => info.pid);
    if (!hasEnded()) pids.push(pid);
    for (const each of pids) {
      try {
        process.kill(each, name);
      } catch {
        // Gone, or another user's.
      }
    }
  };
  send(signal);
  setTimeout(send, GRACE_MS, "SIGKILL").unref();
}
