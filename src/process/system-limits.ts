import { closeSync, openSync, readFileSync } from "node:fs";

/** A limit: its line in /proc/self/limits, and its text for errors. */
interface Limit {
  readonly line: RegExp;
  readonly text: (value: string) => string;
}

const DESCRIPTORS: Limit = {
  line: /^Max open files +(\S+)/m,
  text: (value) => `this process has reached its limit on descriptors: ${value} (ulimit -n)`,
};
const PROCESSES: Limit = {
  line: /^Max processes +(\S+)/m,
  text: (value) =>
    `this user has reached the limit on processes and threads: ${value} (ulimit -u), or its control group has (pids.max)`,
};
const MEMORY: Limit = {
  line: /^Max address space +(\S+)/m,
  text: (value) =>
    `there is no memory left, or this process has reached its limit in bytes: ${value} (ulimit -v)`,
};
const OPEN_FILES: Limit = {
  line: /^/,
  text: () => "the system has reached its limit on open files (sysctl fs.file-max)",
};

/** The limits, by the system's error code. */
const LIMITS: ReadonlyMap<unknown, Limit> = new Map([
  ["EMFILE", DESCRIPTORS],
  ["ENFILE", OPEN_FILES],
  ["EAGAIN", PROCESSES],
  ["ENOMEM", MEMORY],
]);
const CURE = "raise it, or keep fewer contexts and files open at once";

let known = "";

/** Reads the limits of this process while that is possible: with no descriptor left, no file can be read. */
function noteLimits(): void {
  if (known === "") readLimits();
}

/**
 * Returns the hint for an error that comes from a limit on processes, threads, memory or files: the limit, its
 * value, and the cure. Empty for any other error.
 */
export function limitHint(error: unknown): string {
  const { code, message } = (error ?? {}) as NodeJS.ErrnoException;
  // The error of a Worker gives the reason only in its message.
  const name = /Worker initialization failure: (E[A-Z]+)$/.exec(String(message))?.[1] ?? code;
  const limit = LIMITS.get(name);
  if (limit === undefined) return "";
  readLimits();
  return `${limit.text(limit.line.exec(known)?.[1] ?? "unknown")}; ${CURE}`;
}

/** Adds the hint to the message of an error that comes from a limit. Returns the error, changed or not. */
export function nameLimit<E>(error: E): E {
  const hint = limitHint(error);
  const named = error as unknown as Error;
  if (hint !== "" && !named.message.endsWith(hint)) named.message += `; ${hint}`;
  return error;
}

/**
 * The descriptors of a spawn: both ends of four pipes, those of the reaper's pipe, and of a pipe by which the
 * system reports that a command cannot be started. Checked before anything is spawned. A spawn that gets only
 * some of its descriptors fails, and Node never closes these, so the program would not end.
 */
export const SPAWN_DESCRIPTORS = 12;

/**
 * Throws the system's error, with the limit in its message, unless `count` more descriptors can be opened. Call
 * this before code that fails badly, or silently, without descriptors.
 */
export function checkDescriptors(count: number): void {
  noteLimits();
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync("/dev/null", "r"));
  } catch (error) {
    throw nameLimit(error);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

function readLimits(): void {
  try {
    known = readFileSync("/proc/self/limits", "latin1");
  } catch {
    // Not Linux, or no descriptor is left. The limits read before are still the best answer.
  }
}
