import { closeSync, openSync, readFileSync } from "node:fs";

/** A line of /proc/self/limits, what it is called here, and the shell's name for it. */
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

/** By the system's code. */
const LIMITS: ReadonlyMap<unknown, Limit> = new Map([
  ["EMFILE", DESCRIPTORS],
  ["ENFILE", OPEN_FILES],
  ["EAGAIN", PROCESSES],
  ["ENOMEM", MEMORY],
]);
const CURE = "raise it, or keep fewer contexts and files open at once";

let known = "";

/** Reads the limits of this process while it can: with no descriptor left a file cannot be read. */
export function noteLimits(): void {
  if (known === "") readLimits();
}

/**
 * Names the limit that an error of starting a process or a thread, or of opening something, tells of: which it is, its value, and what to do.
 * An empty string for any other error.
 */
export function limitHint(error: unknown): string {
  const { code, message } = (error ?? {}) as NodeJS.ErrnoException;
  // What a Worker could not be started for stands in its message alone.
  const name = /Worker initialization failure: (E[A-Z]+)$/.exec(String(message))?.[1] ?? code;
  const limit = LIMITS.get(name);
  if (limit === undefined) return "";
  readLimits();
  return `${limit.text(limit.line.exec(known)?.[1] ?? "unknown")}; ${CURE}`;
}

/** Adds the hint to the message of an error that tells of a limit; any other stays as it is. Returns the error. */
export function nameLimit<E>(error: E): E {
  const hint = limitHint(error);
  const named = error as unknown as Error;
  if (hint !== "" && !named.message.endsWith(hint)) named.message += `; ${hint}`;
  return error;
}

/**
 * Both ends of four pipes, of the reaper's, and of one by which the system tells that a command cannot be started: to be asked for before
 * anything is spawned. A spawn that finds only some of those it needs fails, and Node never closes these, nor does the program end then.
 */
export const SPAWN_DESCRIPTORS = 12;

/**
 * Throws the system's error, with the limit named, unless `count` more descriptors can be opened: for what does not survive that there are
 * none, or cannot say so.
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
    // Not Linux, or no descriptor is left: what was read before still says most.
  }
}
