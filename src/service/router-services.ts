import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import type { FunctionName } from "../functions/function-name.ts";
import type { Service } from "./service.ts";

/** The pool of a router, as code other than the program sees it. */
export interface RequestPool {
  readonly isStopped: boolean;
  accept(message: Message): void;
  stop(options?: { timeoutMs?: number }): Promise<void>;
}

/** The state that services of one router share. */
export interface RouterServices {
  /** The pool that takes its requests, or the last one if it has stopped. */
  pool?: RequestPool;
  /** Loads a class by its reference, evaluating its module if needed. Only in a child. */
  load?: (reference: FunctionName) => Promise<unknown>;
  /**
   * Classes that this context has called on itself, by service name. They are here, and need not be loaded.
   */
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
 * Called before the router ends its links. Stops its pool, if there is one, and waits for it for up to
 * `timeoutMs`.
 */
export async function stopServices(router: CoreRouter, timeoutMs: number): Promise<void> {
  await states.get(router)?.pool?.stop({ timeoutMs });
}
