import { closeSync, openSync } from "node:fs";
import { STDERR_TAP, STDOUT_TAP } from "./shared-state.ts";

/** How many times to try, a millisecond apart, to get a descriptor that another thread has taken for a moment. */
const MAX_TRIES = 1000;

/** How many descriptors the broker thread opens, including those of its start. */
const SPARE_DESCRIPTORS = 10;

/**
 * Throws the error that would end the broker thread a little later, when the parent already takes this
 * context for ready: too few descriptors are left, or the working directory was deleted.
 */
export function checkResources(): void {
  process.cwd();
  const opened = Array.from({ length: SPARE_DESCRIPTORS }, () => openSync("/", "r"));
  for (const fd of opened) closeSync(fd);
}

/**
 * Gives this process the stdio that user code and its subprocesses see: stdin is at its end, stdout and
 * stderr are the write ends of the pipes behind descriptors 5 and 6. Node has no dup2, but open takes the
 * lowest free descriptor. Meanwhile, no other thread may open a file and keep it open. Threads do open one for a
 * moment: glibc reads the number of processors from a file when a thread first asks for memory.
 */
export function replaceStdio(): void {
  reopen(0, "/dev/null", "r");
  // Descriptor 1 is the transport. Without /proc (macOS, BSD), output goes where errors go.
  reopen(1, `/proc/self/fd/${STDOUT_TAP}`, "w") || reopen(1, "/dev/fd/2", "w") || reopen(1, "/dev/null", "w");
  reopen(2, `/proc/self/fd/${STDERR_TAP}`, "w");
}

/** Returns false, without any change, if the path cannot be opened. */
function reopen(fd: number, path: string, flags: string): boolean {
  let opened: number;
  try {
    // Opened first, so that nothing is lost if it fails.
    opened = openSync(path, flags);
  } catch {
    return false;
  }
  if (opened !== fd) {
    try {
      closeSync(fd);
    } catch {
      // It was already closed.
    }
  }
  for (let tries = 0; opened !== fd; tries++) {
    closeSync(opened);
    // Better no context than one whose output goes to another file.
    if (tries === MAX_TRIES) throw new Error(`mitogen: another thread keeps descriptor ${fd}`);
    if (tries > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    opened = openSync(path, flags);
  }
  return true;
}
