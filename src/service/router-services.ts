import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import type { FunctionName } from "../functions/function-name.ts";
import type { Service } from "./service.ts";

/** The pool of a router, as others than the program see it. */
export interface RequestPool {
  readonly isStopped: boolean;
  accept(message: Message): void;
  stop(options?: { timeoutMs?: number }): Promise<void>;
}

/** What services of one router share. */
export interface RouterServices {
  /** The pool that takes its requests; the last one, if it has stopped. */
  pool?: RequestPool;
  /** Finds a class by its place, evaluating its module if need be; only in a child. */
  load?: (reference: FunctionName) => Promise<unknown>;
  /** Classes that this context has called on itself, by service name: they are here, and need not be loaded. */
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

/** Before its router ends the links: stops its pool, if there is one, and waits for it that long. */
export async function stopServices(router: CoreRouter, timeoutMs: number): Promise<void> {
  await states.get(router)?.pool?.stop({ timeoutMs });
}
