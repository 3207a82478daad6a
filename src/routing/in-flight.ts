import { printPath } from "../functions/print-function.ts";
import type { HandlerTable } from "./handler-table.ts";

/** A pending call of this process. */
export interface CallInFlight {
  /** The function's path in its module: `Disk.freeBytes`. */
  readonly function: string;
  /** The module's id: a `file:` URL, `node:fs`, or `global`. */
  readonly module: string;
  /** Milliseconds since the call was made. */
  readonly forMs: number;
}

/** Returns the pending calls to a context, oldest first. For `Context.describe`. */
export function callsInFlight(handlers: HandlerTable, contextId: number): CallInFlight[] {
  const now = Date.now();
  const calls: CallInFlight[] = [];
  for (const { call } of handlers.waitingFor(contextId)) {
    if (call === undefined) continue;
    const { module, path } = call.name;
    calls.push({ function: printPath(path), module, forMs: now - call.since });
  }
  return calls;
}
