import { AsyncLocalStorage } from "node:async_hooks";
import { type AbortEnd, newAbortEnd } from "../core/abort-end.ts";
import type { Context } from "../core/context.ts";
import type { CurrentCall } from "../core/current-call.ts";
import { MitogenError } from "../errors.ts";
import type { Call } from "./dispatcher.ts";

/** What is kept of a call for as long as anything it started lives: not its arguments. */
class CallState implements CurrentCall {
  readonly source: Context;
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

/** The calls that run in this context, as the code inside them sees them. */
export class CurrentCalls {
  readonly #storage: AsyncLocalStorage<CallState> = new AsyncLocalStorage();
  readonly #states: WeakMap<Call, CallState> = new WeakMap();

  /** Runs `fn` as part of the call. */
  run<T>(call: Call, fn: () => T): T {
    const state = new CallState(call.message.context);
    this.#states.set(call, state);
    return this.#storage.run(state, fn);
  }

  /** See `currentCall()`. */
  get(): CurrentCall {
    const state = this.#storage.getStore();
    if (state !== undefined) return state;
    throw new MitogenError("Cannot get the current call: this code was not started by one");
  }

  abort(call: Call): void {
    this.#states.get(call)?.abort(call.cancelReason);
  }
}
