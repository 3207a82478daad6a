import { closeSync, openSync } from "node:fs";
import { STDERR_TAP, STDOUT_TAP } from "./shared-state.ts";

/** How often it is tried, a millisecond apart, to get a number that another thread has taken meanwhile. */
const MAX_TRIES = 1000;

/** So many the broker thread opens, and what else begins with it. */
const SPARE_DESCRIPTORS = 10;

/**
 * Throws what the broker thread would fail with a little later, when the parent takes this context for ready: too few descriptors are
 * left, or the working directory was deleted.
 */
export function checkResources(): void {
  process.cwd();
  const opened = Array.from({ length: SPARE_DESCRIPTORS }, () => openSync("/", "r"));
  for (const fd of opened) closeSync(fd);
}

/**
 * Gives this process the stdio that user code and its subprocesses see: stdin is at its end, stdout and stderr are the write ends of
 * the pipes behind descriptors 5 and 6. Node has no dup2, but open takes the lowest free descriptor. No other thread may open anything
 * to keep meanwhile. For a moment it may: glibc looks up the number of processors in a file when a thread first asks for memory.
 */
export function replaceStdio(): void {
  reopen(0, "/dev/null", "r");
  // Descriptor 1 is the transport: without /proc (macOS, BSD) output goes where errors go.
  reopen(1, `/proc/self/fd/${STDOUT_TAP}`, "w") || reopen(1, "/dev/fd/2", "w") || reopen(1, "/dev/null", "w");
  reopen(2, `/proc/self/fd/${STDERR_TAP}`, "w");
}

/** False when it cannot be opened; nothing has changed then. */
function reopen(fd: number, path: string, flags: string): boolean {
  let opened: number;
  try {
    // Opened first, so that nothing is lost where it cannot be.
    opened = openSync(path, flags);
  } catch {
    return false;
  }
  if (opened !== fd) {
    try {
      closeSync(fd);
    } catch {
      // It was closed from the start.
    }
  }
  for (let tries = 0; opened !== fd; tries++) {
    closeSync(opened);
    // Better no context than one whose output, and that of its subprocesses, goes somewhere else.
    if (tries === MAX_TRIES) throw new Error(`mitogen: another thread keeps descriptor ${fd}`);
    if (tries > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    opened = openSync(path, flags);
  }
  return true;
}
