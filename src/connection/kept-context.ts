import { type BoundCalls, type Streamable } from "../calls/caller/bound-calls.ts";
import { call as callIn } from "../calls/caller/call.ts";
import type { AnyCallable } from "../calls/caller/call-request.ts";
import { stream as streamFrom } from "../calls/caller/call-stream.ts";
import { callSite } from "../core/call-site.ts";
import { Context } from "../core/context.ts";
import type { CoreRouter } from "../core/router.ts";
import { ChannelError } from "../errors.ts";
import type { Callable } from "../functions/callable.ts";
import type { AnyFunction } from "../functions/overloads.ts";
import { getLogger } from "../logging/log.ts";
import {
  callback,
  duration,
  flag,
  instanceOf,
  oneOf,
  retryCount,
  WAIT_OPTIONS,
} from "../options/option-types.ts";
import { isOptionCode, type OptionTable, readOptions, takeOption } from "../options/options.ts";
import { onRouterEnd } from "../routing/router-end.ts";
import { monotonicMs } from "../waiting/monotonic.ts";
import { awaitWithin, startTimer, type WaitOptions } from "../waiting/wait.ts";
import { headOf, messageOf, read } from "../wire/values/thrown.ts";

/** How a {@link KeptContext} connects again. */
export interface KeepOptions {
  /** How often a failed connect is tried again before waiting calls fail; 5 by default, `Infinity` for ever. */
  readonly retries?: number;
  /**
   * The pause before the first of these tries, in milliseconds; doubled before each further one. 1,000 by default.
   */
  readonly backoffMs?: number;
  /** The longest of these pauses in milliseconds; 30,000 by default. */
  readonly maxBackoffMs?: number;
  /**
   * What a call does while there is no connection: `"wait"` for one (the default), or `"fail"` at once with a
   * ChannelError.
   */
  readonly whileDown?: "wait" | "fail";
}

/** Bounds of a call of a {@link KeptContext}. They include the wait for a connection. */
export interface KeptCallOptions extends WaitOptions {
  /** Whether a call is made again if the context is lost while it runs: its function may then run twice. False by default. */
  readonly repeat?: boolean;
}

/** The calls of a {@link KeptContext}. */
export type KeptCalls = Pick<BoundCalls, "call" | "stream">;

const KEEP_OPTIONS: OptionTable<KeepOptions> = {
  retries: retryCount,
  backoffMs: duration,
  maxBackoffMs: duration,
  whileDown: oneOf("wait", "fail"),
};
const CALL_OPTIONS: OptionTable<KeptCallOptions> = { ...WAIT_OPTIONS, repeat: flag };
const CONTEXT = instanceOf(Context, "a Context");

/**
 * Errors after which another try would fail in the same way or do harm: some systems lock accounts after
 * wrong passwords.
 */
const FINAL_CODES: ReadonlySet<unknown> = new Set(["ERR_PASSWORD", "ERR_HOST_KEY", "ERR_CANCELLED"]);

const log = getLogger("mitogen.keep");

/**
 * A context that is connected again when it is lost. Made by `router.keep()`. The first use connects it; after a loss
 * it is connected again at once. Each connection is a new process: the memory of the lost one is gone, and so are the
 * functions that ran there.
 *
 * ```ts
 * await using web = router.keep(() => router.ssh({ hostname: "web1" }), { retries: 10 });
 * console.log(await web.call(os.uptime));
 * ```
 */
export class KeptContext {
  /**
   * Like `Context.call`. Without a connection it waits or fails, as `whileDown` says. Rejects with the error of the
   * last connect if all tries failed.
   */
  readonly call: BoundCalls["call"];
  /** Like `Context.stream`; waits like {@link call}. A stream ends with its context. */
  readonly stream: BoundCalls["stream"];
  readonly #router: CoreRouter;
  readonly #connect: () => Promise<Context>;
  readonly #isRouterEnding: () => boolean;
  readonly #options: Required<KeepOptions>;
  readonly #connectListeners: Set<(context: Context) => unknown> = new Set();
  readonly #lossListeners: Set<(reason: string) => unknown> = new Set();
  #context: Context | undefined;
  #connecting: Promise<Context> | undefined;
  #lastFailure = "it has not been connected yet";
  #isEnded = false;
  #endPause: (() => void) | undefined;

  /** @internal */
  constructor(
    router: CoreRouter,
    connect: () => Promise<Context>,
    isRouterEnding: () => boolean,
    given: KeepOptions = {},
  ) {
    const what = "keep a context";
    const defaults = { retries: 5, backoffMs: 1000, maxBackoffMs: 30_000, whileDown: "wait" } as const;
    this.#router = router;
    this.#isRouterEnding = isRouterEnding;
    this.#connect = takeOption(what, "the first argument", connect, callback);
    this.#options = { ...defaults, ...readOptions(what, given, KEEP_OPTIONS) };
    ({ call: this.call, stream: this.stream } = this.#calls({}));
  }

  /** The context in use; undefined while there is none. */
  get context(): Context | undefined {
    return this.isConnected ? this.#context : undefined;
  }

  /** Whether there is a context now that can be reached, as far as this process knows. */
  get isConnected(): boolean {
    return this.#context?.isConnected === true;
  }

  /**
   * Returns the context. Without a connection it waits for one, whatever `whileDown` says. Rejects with the error of
   * the last connect if all tries failed.
   */
  async ready(options: WaitOptions = {}): Promise<Context> {
    return await this.#ready(readOptions("connect a kept context", options, WAIT_OPTIONS));
  }

  /** Returns the same calls with bounds, which include the wait for a connection. */
  with(options: KeptCallOptions): KeptCalls {
    return this.#calls(readOptions("call", options, CALL_OPTIONS));
  }

  /**
   * Calls `fn` with each new context, before any call. Returns a function that unregisters `fn`. Errors of `fn` are
   * logged.
   */
  onConnect(fn: (context: Context) => void): () => void {
    this.#connectListeners.add(takeOption("watch a kept context", "the first argument", fn, callback));
    return () => this.#connectListeners.delete(fn);
  }

  /**
   * Calls `fn` with the reason when a context is lost. Returns a function that unregisters `fn`. Errors of `fn` are
   * logged.
   */
  onDisconnect(fn: (reason: string) => void): () => void {
    this.#lossListeners.add(takeOption("watch a kept context", "the first argument", fn, callback));
    return () => this.#lossListeners.delete(fn);
  }

  /**
   * Ends the context and connects no more. A connect under way goes on; its context is then shut down. Never rejects.
   */
  async shutdown(): Promise<void> {
    this.#isEnded = true;
    this.#endPause?.();
    await this.#context?.shutdown();
  }

  /** The same as {@link shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #calls(options: KeptCallOptions): KeptCalls {
    const { repeat, ...bounds } = options;
    const call = (fn: never, ...args: never[]): never => {
      const { context } = this;
      return context === undefined || repeat === true
        ? (this.#callWhenReady(fn, args, options, callSite(call as AnyFunction)) as never)
        : (callIn(context, fn, args, call as AnyFunction, bounds) as never);
    };
    const stream = (fn: never, ...args: never[]): never => {
      const { context } = this;
      return context === undefined
        ? (this.#streamWhenReady(fn, args, bounds, callSite(stream as AnyFunction)) as never)
        : (streamFrom(context, fn, args, bounds, stream as AnyFunction) as never);
    };
    return { call: call as BoundCalls["call"], stream: stream as BoundCalls["stream"] };
  }

  async #callWhenReady(
    fn: AnyCallable,
    args: readonly unknown[],
    { repeat = false, timeoutMs, signal }: KeptCallOptions,
    site: () => string,
  ): Promise<unknown> {
    const end = timeoutMs === undefined ? undefined : monotonicMs() + timeoutMs;
    const bounds = (): WaitOptions => ({
      signal,
      ...(end !== undefined && { timeoutMs: Math.max(0, end - monotonicMs()) }),
    });
    for (;;) {
      const context = await this.#readyForCall(fn, bounds());
      try {
        return await callIn(context, fn, args, this.call, { ...bounds(), site });
      } catch (error) {
        const isLost = error instanceof ChannelError && !context.isConnected;
        if (!repeat || !isLost || this.#isEnded) throw error;
      }
    }
  }

  async *#streamWhenReady(
    fn: Callable<readonly unknown[], Streamable<unknown>>,
    args: readonly unknown[],
    bounds: WaitOptions,
    site: () => string,
  ): AsyncIterableIterator<unknown> {
    const context = await this.#readyForCall(fn, bounds);
    yield* streamFrom(context, fn, args, { ...bounds, site }, this.stream);
  }

  async #readyForCall(fn: AnyCallable, bounds: WaitOptions): Promise<Context> {
    // Throws at once if the function cannot be called, connected or not.
    if (typeof fn === "function") this.#router.functions.nameOf(fn as AnyFunction);
    const ready = this.#ready(bounds);
    if (this.#options.whileDown === "wait" || this.isConnected || this.#isEnded) return await ready;
    // The connect continues, although this call does not wait for it.
    ready.catch(() => undefined);
    throw new ChannelError(
      `Cannot call: the kept context is not connected, and whileDown is "fail": ${this.#lastFailure}`,
    );
  }

  async #ready(bounds: WaitOptions): Promise<Context> {
    if (this.#isEnded) throw new ChannelError("The kept context was shut down");
    const { context } = this;
    if (context !== undefined) return context;
    return await awaitWithin<Context>(
      this.#router.broker,
      bounds,
      () => `reach the kept context (${this.#lastFailure})`,
      (resolve, reject) => void this.#connectOnce().then(resolve, reject),
      () => undefined,
    );
  }

  /** Starts a connect, or joins the one that is running. */
  #connectOnce(): Promise<Context> {
    this.#connecting ??= this.#connectUntilRouterEnds().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** The end of the router ends the pause before the next try, and whatever else the connect waits for. */
  async #connectUntilRouterEnds(): Promise<Context> {
    let unwatch: (() => void) | undefined;
    const ended = new Promise<never>((_, reject) => {
      unwatch = onRouterEnd(this.#router, () => {
        this.#isEnded = true;
        this.#endPause?.();
        reject(new ChannelError("Cannot connect the kept context: the router was shut down"));
      });
    });
    try {
      return await Promise.race([ended, this.#connectWithRetries()]);
    } finally {
      unwatch?.();
    }
  }

  async #connectWithRetries(): Promise<Context> {
    const { retries, backoffMs, maxBackoffMs } = this.#options;
    for (let failures = 0; ; failures++) {
      if (this.#isEnded) throw new ChannelError("The kept context was shut down");
      try {
        return this.#use(await this.#connect());
      } catch (error) {
        this.#lastFailure = messageOf(error);
        if (failures >= retries || isFinal(error) || this.#isEnded) throw error;
        const pauseMs = Math.min(backoffMs * 2 ** failures, maxBackoffMs);
        log.warning(`Cannot connect; trying again in ${pauseMs} ms: ${headOf(error)}`);
        await this.#pause(pauseMs);
      }
    }
  }

  /** The timer is unreferenced. Calls that wait for the connection keep the program alive. */
  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = startTimer(ms, resolve)?.unref();
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  #use(given: Context): Context {
    const context = takeOption("keep a context", "what the function returned", given, CONTEXT);
    if (context.goneReason !== undefined) throw new ChannelError(context.goneReason);
    if (this.#isEnded) {
      void context.shutdown();
      throw new ChannelError("The kept context was shut down");
    }
    this.#context = context;
    tell(this.#connectListeners, context);
    context.onDisconnect((reason) => this.#noteLoss(reason));
    return context;
  }

  #noteLoss(reason: string): void {
    this.#lastFailure = reason;
    tell(this.#lossListeners, reason);
    // A router that ends tells its handlers last, after its contexts are gone.
    if (this.#isRouterEnding()) this.#isEnded = true;
    if (this.#isEnded) return;
    log.info(`Connecting again: ${reason}`);
    // Calls that wait for the connection get its failure; without such calls nobody needs it.
    this.#connectOnce().catch(() => undefined);
  }
}

function isFinal(error: unknown): boolean {
  const code = read(Object(error), "code");
  return isOptionCode(code) || FINAL_CODES.has(code);
}

function tell<T>(listeners: ReadonlySet<(value: T) => unknown>, value: T): void {
  for (const listener of [...listeners]) {
    const told = (async () => await listener(value))();
    told.catch((error) => log.error(`A listener of a kept context failed: ${headOf(error)}`));
  }
}
