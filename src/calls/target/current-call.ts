import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "../../core/context.ts";
import { MitogenError } from "../../errors.ts";
import { type AbortEnd, newAbortEnd } from "../../waiting/abort-end.ts";
import type { Call } from "./dispatcher.ts";

/** The call that runs a function, as the function sees it. */
export interface CurrentCall {
  /**
   * Aborts when the caller no longer waits, because its time ran out, its own signal aborted, or its context
   * is gone.
   */
  readonly signal: AbortSignal;
  /** The context that made the call. */
  readonly source: Context;
}

/**
 * Returns the call that runs the calling code, even after an `await`. Throws a MitogenError outside of a
 * call, and in a call that already ran when its context first imported `mitogen`.
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

/** What the code that a call runs knows of the call, beyond the public part. */
export interface RunningCall extends CurrentCall {
  /** Functions that end its current waits. Only for a call that can be ended while it waits. */
  waits: Set<() => void> | undefined;
}

/** The call that runs this code, or undefined. */
export function runningCall(): RunningCall | undefined {
  return storage.getStore();
}

/** The state that lives as long as anything that the call started. It does not hold the arguments. */
class CallState implements RunningCall {
  readonly source: Context;
  waits: Set<() => void> | undefined;
  #abortEnd: AbortEnd | undefined;
  #reason: unknown;

  constructor(source: Context) {
    this.source = source;
  }

  /** Made on demand, because most functions never use it. */
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

/** The calls that run for a router, as their code sees them. */
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
    // The listeners of the signal also run as code of the call.
    if (state !== undefined) storage.run(state, () => state.abort(call.cancelReason));
  }
}
