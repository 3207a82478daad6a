import type { Context } from "./context.ts";
import type { FunctionName } from "./router.ts";

/** A call that this process has made and that is not over. */
export interface CallInFlight {
  /** `Disk.freeBytes` */
  readonly function: string;
  readonly module: string;
  /** Milliseconds since it was made. */
  readonly forMs: number;
}

interface Entry {
  readonly name: FunctionName;
  readonly since: number;
}

const calls = new WeakMap<Context, Set<Entry>>();

/** Remembers a call for `Context.describe`, until the answer is called. */
export function noteCall(context: Context, name: FunctionName): () => void {
  let entries = calls.get(context);
  if (entries === undefined) {
    entries = new Set();
    calls.set(context, entries);
  }
  const known = entries;
  const entry = { name, since: Date.now() };
  known.add(entry);
  return () => void known.delete(entry);
}

/** Oldest first. */
export function callsInFlight(context: Context): CallInFlight[] {
  const now = Date.now();
  return [...(calls.get(context) ?? [])].map(({ name, since }) => {
    return { function: name.path.join(".") || "default", module: name.module, forMs: now - since };
  });
}
