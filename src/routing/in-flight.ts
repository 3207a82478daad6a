import type { Context } from "../core/context.ts";
import type { FunctionName } from "../core/router.ts";
import { printPath } from "../functions/print-function.ts";

/** A call that this process has made and that is not over. */
export interface CallInFlight {
  /** `Disk.freeBytes` */
  readonly function: string;
  /** The module's id: a `file:` URL, `node:fs`, or `global`. */
  readonly module: string;
  /** Milliseconds since it was made. */
  readonly forMs: number;
}

/** What the handler of its answer knows of one. */
export interface CallRecord {
  readonly name: FunctionName;
  readonly since: number;
}

/** Oldest first; for `Context.describe`. */
export function callsInFlight({ router, contextId }: Context): CallInFlight[] {
  const now = Date.now();
  const calls: CallInFlight[] = [];
  for (const { call } of router.handlers.waitingFor(contextId)) {
    if (call === undefined) continue;
    const { module, path } = call.name;
    calls.push({ function: printPath(path), module, forMs: now - call.since });
  }
  return calls;
}
