import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import type { FunctionName } from "../functions/function-name.ts";
import type { Service } from "./service.ts";

/** What the rest of this library uses of a pool. */
export interface RequestPool {
  readonly isStopped: boolean;
  accept(message: Message): void;
  stop(options?: { timeoutMs?: number }): Promise<void>;
}

/** The state that services of one router share. */
export interface RouterServices {
  /** The pool that takes the router's requests, or the last one if that has stopped. */
  pool?: RequestPool;
  /** Loads a class by its reference, evaluating its module if needed. Only in a child. */
  load?: (reference: FunctionName) => Promise<unknown>;
  /** Classes that this context has called on itself, by service name. They need not be loaded. */
  readonly known: Map<string, typeof Service>;
}

const states = new WeakMap<CoreRouter, RouterServices>();

export function servicesOf(router: CoreRouter): RouterServices {
  let state = states.get(router);
  if (state === undefined) {
    state = { known: new Map() };
    states.set(router, state);
  }
  return state;
}

/** One line for diagnostics. */
export function printServices(router: CoreRouter): string {
  return `services: ${states.get(router)?.pool ?? "no pool"}`;
}

/**
 * Stops the router's pool, if there is one, and waits for up to `timeoutMs` until it has stopped. Call this before
 * the router ends its links.
 */
export async function stopServices(router: CoreRouter, timeoutMs: number): Promise<void> {
  await states.get(router)?.pool?.stop({ timeoutMs });
}
