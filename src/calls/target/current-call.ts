import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "../../core/context.ts";
import { MitogenError } from "../../errors.ts";
import { type AbortEnd, newAbortEnd } from "../../waiting/abort-end.ts";
import type { Call } from "./dispatcher.ts";

/** What a function knows of the call that runs it. */
export interface CurrentCall {
  /** Aborts when the caller no longer waits: its time ran out, its own signal aborted, its context is gone. */
  readonly signal: AbortSignal;
  /** The context that made the call. */
  readonly source: Context;
}

/**
 * Inside a remote call, after an `await` too: the call. Throws a MitogenError elsewhere, and in a call that was running before
 * anything in its context had imported `mitogen`.
 *
 * ```ts
 * export async function watch(url: string): Promise<void> {
 *   const { signal } = currentCall();
 *   while (!signal.aborted) await fetch(url, { signal });
 * }
 * ```
 */
export function currentCall(): CurrentCall {
  const state = storage.getStore();
  if (state !== undefined) return state;
  throw new MitogenError("Cannot get the current call: no call has started this code");
}

/** What of a call the code that runs it knows beside that. */
export interface RunningCall extends CurrentCall {
  /** What it waits for, as functions that end the wait; only of a call that can be ended where it waits. */
  waits: Set<() => void> | undefined;
}

/** The call that runs this code, if one does. */
export function runningCall(): RunningCall | undefined {
  return storage.getStore();
}

/** What is kept of a call for as long as anything it started lives: not its arguments. */
class CallState implements RunningCall {
  readonly source: Context;
  waits: Set<() => void> | undefined;
  #abortEnd: AbortEnd | undefined;
  #reason: unknown;

  constructor(source: Context) {
    this.source = source;
  }

  /** Made for those who look: most functions never do. */
  get signal(): AbortSignal {
    if (this.#abortEnd === undefined) {
      this.#abortEnd = newAbortEnd();
      if (this.#reason !== undefined) this.#abortEnd.abort(this.#reason);
    }
    return this.#abortEnd.signal;
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#abortEnd?.abort(reason);
  }
}

const storage: AsyncLocalStorage<CallState> = new AsyncLocalStorage();

/** The calls that run for a router, as the code inside them sees them. */
export class CurrentCalls {
  readonly #states: WeakMap<Call, CallState> = new WeakMap();

  /** Runs `fn` as part of the call. */
  run<T>(call: Call, fn: () => T): T {
    const state = new CallState(call.message.context);
    this.#states.set(call, state);
    return storage.run(state, fn);
  }

  abort(call: Call): void {
    const state = this.#states.get(call);
    // Its listeners are code of the call, too.
    if (state !== undefined) storage.run(state, () => state.abort(call.cancelReason));
  }
}
