import { encodeValue } from "../wire/encoder.ts";

/** One request that has passed its policies. */
export interface ServiceCall {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Runs the method once the pool has room for it; call it once at most. Rejects with what the method throws. */
  run(): Promise<unknown>;
}

/**
 * Decides when the requests of one service run: this one, all at once, as far as the pool has room. Each service has its own. To write
 * another, override {@link invoke}.
 */
export class Invoker {
  /** Resolves with what the caller gets. */
  invoke(call: ServiceCall): Promise<unknown> {
    return call.run();
  }
}

/** One request at a time, in the order they arrived. A method that waits for another of its own service waits for ever. */
export class SerializedInvoker extends Invoker {
  #last: Promise<unknown> = Promise.resolve();

  override invoke(call: ServiceCall): Promise<unknown> {
    const turn = this.#last.then(() => call.run());
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/**
 * Runs a method once for each set of arguments, and gives its value, or its error, to everyone who asks for the same, then and later.
 * Results are kept for as long as the service: only for few, or small, ones. The method sees the first request.
 */
export class DeduplicatingInvoker extends Invoker {
  readonly #results: Map<string, Promise<unknown>> = new Map();

  override invoke(call: ServiceCall): Promise<unknown> {
    const key = Buffer.concat(encodeValue([call.method, sorted(call.args)])).toString("latin1");
    let result = this.#results.get(key);
    if (result === undefined) {
      result = call.run();
      this.#results.set(key, result);
    }
    return result;
  }
}

/** The same value for the same names in any order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(record[key])]));
}
