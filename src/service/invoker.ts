import { createHash } from "node:crypto";
import type { Message } from "../core/message.ts";
import { misuse, show } from "../options/options.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { read } from "../wire/values/thrown.ts";

/** One request that has passed its policies. */
export interface ServiceCall {
  /** The method's name. */
  readonly method: string;
  /** The named arguments. Those that `argSpec` lists have been checked. */
  readonly args: Readonly<Record<string, unknown>>;
  /** The request. Its `context` is the caller. */
  readonly message: Message;
  /** Runs the method as soon as the pool has room. Resolves or rejects as the method does. Call it at most once. */
  run(): Promise<unknown>;
}

/**
 * Decides when the requests of one service run. This one runs each as soon as the pool has room. Each service has an
 * object of its own. To decide in another way, override {@link invoke}.
 */
export class Invoker {
  /** Returns a promise of what the caller gets. Throws a TypeError for a call that no pool has made. */
  invoke(call: ServiceCall): Promise<unknown> {
    checkCall(call);
    return call.run();
  }
}

/**
 * Runs one request at a time, in the order of arrival. A method that waits for another method of its own service waits
 * for ever.
 */
export class SerializedInvoker extends Invoker {
  #last: Promise<unknown> = Promise.resolve();

  /** Returns the result of `call.run()`, which begins when the request before has ended. */
  override invoke(call: ServiceCall): Promise<unknown> {
    checkCall(call);
    const turn = this.#last.then(() => call.run());
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** The most results that one service keeps. */
export const MAX_RESULTS = 10_000;

/**
 * Runs a method once for each set of arguments. All requests with the same arguments, then and later, get the same
 * value or error. The 10,000 results that were last asked for are kept as long as the service, so use it for small
 * results. The method sees only the first request.
 */
export class DeduplicatingInvoker extends Invoker {
  readonly #results: Map<string, Promise<unknown>> = new Map();

  /** Returns the result of an earlier request with the same method and arguments, or that of `call.run()`. */
  override invoke(call: ServiceCall): Promise<unknown> {
    checkCall(call);
    // A hash, because callers may pass arguments of any length.
    const hash = createHash("sha256");
    for (const piece of encodeValue([call.method, sorted(call.args)])) hash.update(piece);
    const key = hash.digest("base64");
    const result = this.#results.get(key) ?? call.run();
    // Moves the result to the end, because the first ones are dropped first.
    this.#results.delete(key);
    this.#results.set(key, result);
    if (this.#results.size > MAX_RESULTS) this.#results.delete(this.#results.keys().next().value as string);
    return result;
  }
}

/** Throws a TypeError unless a pool has made the call. */
function checkCall(call: unknown): void {
  if (typeof read(call as object, "run") === "function") return;
  throw misuse(
    "ERR_INVALID_ARG_TYPE",
    `Cannot invoke: the call must be a ServiceCall of a Pool, got ${show(call)}`,
  );
}

/** Sorts the names in plain objects, so that their order does not matter. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(record[key])]));
}
