import { Context } from "../../core/context.ts";
import { ContextDescription } from "../../core/describe.ts";
import type { Receiver } from "../../core/receiver.ts";
import type { Arrived, FileData, FileFunction, FileLike } from "../../functions/arrived.ts";
import type { Callable } from "../../functions/callable.ts";
import type { AnyFunction, ArgumentsOf, ResultOf } from "../../functions/overloads.ts";
import { flag, WAIT_OPTIONS } from "../../options/option-types.ts";
import { type OptionTable, readOptions } from "../../options/options.ts";
import type { WaitOptions } from "../../waiting/wait.ts";
import { type BoundCalls, bindCalls, type Streamable } from "./bound-calls.ts";
import { call, callAsync, callNoReply } from "./call.ts";
import { CallChain } from "./call-chain.ts";
import { stream } from "./call-stream.ts";
import { ping, request } from "./context-requests.ts";
import { disconnected, onDisconnect } from "./disconnect.ts";
import type { AnyModule, ModuleHandle } from "./module-handle.ts";
import type {
  ServiceArguments,
  ServiceCalls,
  ServiceClass,
  ServiceMethod,
  ServiceProxy,
  ServiceValue,
} from "./service-call.ts";

/**
 * The methods of a {@link Context} that programs use. The features of a router add them, because a child that
 * only takes calls does not need them.
 */
export interface ContextCalls {
  /**
   * Runs `fn` in the context and returns its value. Rejects with a CallError if `fn` throws, and with a ChannelError
   * if the context is gone, or ends before the answer. A function or argument that cannot travel is refused with a
   * TypeError before anything is sent. Calls start in the order in which they are made.
   *
   * ```ts
   * const hostname = await context.call(os.hostname);
   * ```
   */
  call<F extends FileFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Promise<Arrived<Awaited<ResultOf<F, A>>>>;
  call<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Promise<Awaited<ResultOf<F, A>>>;
  call<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Promise<Awaited<R>>;

  /**
   * Like {@link call}, but returns at once. The receiver gets one message, and may be discarded unread. Where `call`
   * rejects with a TypeError, this throws it.
   */
  callAsync<F extends FileFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Arrived<Awaited<ResultOf<F, A>>>>;
  callAsync<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Awaited<ResultOf<F, A>>>;
  callAsync<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Receiver<Awaited<R>>;

  /**
   * Like {@link callAsync}, but without an answer. A failure is logged as ERROR in the context. If the context is gone,
   * that is logged here.
   */
  callNoReply<F extends AnyFunction, const A extends ArgumentsOf<F>>(fn: F, ...args: A): void;
  callNoReply<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): void;

  /**
   * Runs a generator in the context, or a function that returns something iterable, and yields its values as they come. The
   * generator starts when the first value is requested, and runs ahead of the reader by at most about 1 MiB. An error of the
   * generator, or the end of the context, is thrown after the values that came before.
   *
   * Leaving the loop ends the generator where it stands and runs its `finally`, also while it waits for a Node stream or for
   * lines of `readline`. While it waits for something else, it ends at its next value, or by the signal of its `currentCall()`.
   * A `timeoutMs` of {@link with} bounds the wait for each value; its signal bounds the whole stream. Where `call` rejects with
   * a TypeError, this throws it.
   *
   * ```ts
   * for await (const line of context.stream(tail, "/var/log/syslog")) console.log(line);
   * ```
   */
  stream<A extends readonly unknown[], T extends FileLike>(
    fn: Callable<A, Streamable<T>>,
    ...args: A
  ): AsyncIterableIterator<FileData<T>>;
  stream<A extends readonly unknown[], T>(
    fn: Callable<A, Streamable<T>>,
    ...args: A
  ): AsyncIterableIterator<Awaited<T>>;

  /**
   * Calls a method of a service of the context, with named arguments: docs/services.md. A service named by its class is started
   * if necessary, which only contexts above may cause. A service named by a string must be in the pool there. Rejects like
   * {@link call}; a refusal is a CallError with a code.
   *
   * ```ts
   * const files = await context.callService(Inventory, "list", { kind: "disk" });
   * ```
   */
  callService<S extends ServiceClass, M extends ServiceMethod<S>>(
    service: S,
    method: M,
    ...args: ServiceArguments<S, M>
  ): Promise<ServiceValue<S, M>>;
  callService(service: string, method: string, args?: object): Promise<unknown>;

  /** Like {@link callService}, but returns at once; the receiver gets one message. */
  callServiceAsync<S extends ServiceClass, M extends ServiceMethod<S>>(
    service: S,
    method: M,
    ...args: ServiceArguments<S, M>
  ): Receiver<ServiceValue<S, M>>;
  callServiceAsync(service: string, method: string, args?: object): Receiver<unknown>;

  /** The methods of a service, typed: `await context.service(Inventory).list({ kind: "disk" })`. */
  service<S extends ServiceClass>(service: S): ServiceProxy<S>;

  /**
   * Returns the call methods with a bound on how long the caller waits. When the bound is reached, `call` rejects, and
   * the receiver of `callAsync` ends, with a TimeoutError or the signal's reason. A function that has not started then
   * never does. For a function that runs, the signal of its `currentCall()` aborts; if it ignores that, it goes on.
   *
   *
   * ```ts
   * await context.with({ timeoutMs: 5000 }).call(fs.promises.rm, "/srv/cache", { recursive: true });
   * ```
   */
  with(options: WaitOptions): BoundCalls & ServiceCalls;

  /** Returns a new {@link CallChain} of this context.
   *
   * ```ts
   * await using chain = context.chain();
   * chain.callNoReply(fs.mkdirSync, "/srv/app");
   * chain.callNoReply(fs.writeFileSync, "/srv/app/version", "7");
   * await chain.call(process.chdir, "/srv/app");
   * ```
   */
  chain(): CallChain;

  /**
   * Ends the context and all contexts below it. Does not wait for running functions, even hung ones. With `wait` (the
   * default), resolves when the context is disconnected and, if this process started it, its process is reaped. With
   * `wait: false`, resolves when the request is sent. Waits at most ten seconds for a context behind a hop that does
   * not answer, and for a program that has connected to a listener. Idempotent, never rejects.
   */
  shutdown(options?: { wait?: boolean }): Promise<void>;

  /**
   * Evaluates a module in the context, without importing it here, and returns its functions. `moduleUrl` is an absolute
   * `file:` URL. Rejects with a TypeError for anything else, with a ModuleError if the module cannot be sent, and like
   * {@link call} if its evaluation throws. docs/modules.md#module-handles
   *
   * ```ts
   * const tasks = await context.import<typeof import("./tasks.ts")>(new URL("./tasks.ts", import.meta.url));
   * await tasks.backup("/srv");
   * ```
   */
  import<M = AnyModule>(moduleUrl: string | URL, options?: WaitOptions): Promise<ModuleHandle<M>>;

  /**
   * Returns how many milliseconds a message takes there and back. Does not wait for running functions, even hung ones;
   * only a thread that hangs does not answer. Without bounds, waits as long as the context lives. Rejects like
   * {@link call}.
   */
  ping(options?: WaitOptions): Promise<number>;

  /** Describes how the context was made, its link and its pending calls. Safe to log: docs/debugging.md */
  describe(): ContextDescription;

  /**
   * Resolves once the context can no longer be reached; never rejects. To await it does not keep the program alive.
   */
  readonly disconnected: Promise<void>;

  /**
   * Calls `fn` with the reason when the context can no longer be reached; if it is already gone, soon after this
   * returns. Returns a function that unregisters `fn`. An error of `fn` is logged. Does not keep the program alive.
   *
   * ```ts
   * const stop = context.onDisconnect((reason) => console.warn(reason));
   * ```
   */
  onDisconnect(fn: (reason: string) => void): () => void;

  /** What `JSON.stringify` writes of a context, so that log records can be written as JSON. */
  toJSON(): { contextId: number; name: string };

  /** Sends a value to a handle there and waits for its answer. @internal */
  request(handle: number, value: unknown, options?: WaitOptions): Promise<unknown>;
}

declare module "../../core/context.ts" {
  interface Context extends ContextCalls {}
}

const SHUTDOWN_OPTIONS: OptionTable<{ wait?: boolean }> = { wait: flag };

class CallableContext extends Context implements ContextCalls {
  override call(fn: never, ...args: never[]): never {
    return call(this, fn, args, this.call) as never;
  }

  override callAsync(fn: never, ...args: never[]): never {
    return callAsync(this, fn, args) as never;
  }

  override callNoReply(fn: never, ...args: never[]): void {
    callNoReply(this, fn, args);
  }

  override stream(fn: never, ...args: never[]): never {
    return stream(this, fn, args, {}, this.stream) as never;
  }

  override callService(...request: never[]): never {
    const { callService } = servicesOf(this, {}, this.callService);
    return callService(...(request as [never, never])) as never;
  }

  override callServiceAsync(...request: never[]): never {
    return servicesOf(this, {}).callServiceAsync(...(request as [never, never])) as never;
  }

  override service<S extends ServiceClass>(service: S): ServiceProxy<S> {
    return servicesOf(this, {}).service(service);
  }

  override with(options: WaitOptions): BoundCalls & ServiceCalls {
    const bounds = readOptions("call", options, WAIT_OPTIONS);
    return { ...bindCalls(this, bounds), ...servicesOf(this, bounds) };
  }

  override chain(): CallChain {
    return new CallChain(this);
  }

  override async shutdown(options: { wait?: boolean } = {}): Promise<void> {
    const { wait } = readOptions("shut down a context", options, SHUTDOWN_OPTIONS);
    await this.router.shutdownContext(this, wait ?? true);
  }

  override import<M = AnyModule>(
    moduleUrl: string | URL,
    options: WaitOptions = {},
  ): Promise<ModuleHandle<M>> {
    return this.router.functions.importModule(this, moduleUrl, options) as Promise<ModuleHandle<M>>;
  }

  override async ping(options: WaitOptions = {}): Promise<number> {
    return ping(this, readOptions("ping", options, WAIT_OPTIONS));
  }

  override describe(): ContextDescription {
    return new ContextDescription(this);
  }

  override get disconnected(): Promise<void> {
    return disconnected(this);
  }

  override onDisconnect(fn: (reason: string) => void): () => void {
    return onDisconnect(this, fn);
  }

  override toJSON(): { contextId: number; name: string } {
    return { contextId: this.contextId, name: this.name };
  }

  override request(handle: number, value: unknown, options?: WaitOptions): Promise<unknown> {
    return request(this, handle, value, options);
  }
}

function servicesOf(
  context: Context,
  bounds: WaitOptions,
  caller?: (...args: never[]) => unknown,
): ServiceCalls {
  return context.router.requireFeatures().services(context, bounds, caller) as ServiceCalls;
}

/** Adds these methods to every context. */
export function addContextCalls(): void {
  const { constructor: _, ...methods } = Object.getOwnPropertyDescriptors(CallableContext.prototype);
  Object.defineProperties(Context.prototype, methods);
}
