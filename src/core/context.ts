import { printAsText } from "../wire/inspectable.ts";
import { checkNumber, travelsAs } from "../wire/references.ts";
import type { Arrived, FileData, FileFunction, FileLike } from "./arrived.ts";
import type { BoundCalls, Streamable } from "./bound-calls.ts";
import type { CallChain } from "./call-chain.ts";
import type { ContextDescription } from "./describe.ts";
import type { Callable } from "./function-ref.ts";
import type { AnyModule, ModuleHandle } from "./module-handle.ts";
import type { AnyFunction, ArgumentsOf, ResultOf } from "./overloads.ts";
import type { Receiver } from "./receiver.ts";
import type { CoreRouter, Features } from "./router.ts";
import type {
  ServiceArguments,
  ServiceCalls,
  ServiceClass,
  ServiceMethod,
  ServiceProxy,
  ServiceValue,
} from "./service-call.ts";
import type { WaitOptions } from "./wait.ts";

/**
 * A process of this program's tree, this one included. Made by the connection methods of a Router; travels as an argument or a
 * result, and is the same object again when it comes home.
 */
export class Context {
  readonly contextId: number;
  readonly name: string;
  readonly router: CoreRouter;
  readonly via?: Context;
  /** Why it can no longer be reached, once it cannot. */
  goneReason: string | undefined;
  /** The turn of the last call that had to wait for its modules; calls leave in order. */
  outbox: Promise<void> | undefined;
  /** Told why, once: src/core/disconnect.ts. */
  goneListeners: Set<(reason: string) => void> | undefined;

  constructor(router: CoreRouter, contextId: number, name: string, via?: Context) {
    checkNumber("Context", contextId, "contextById()");
    this.router = router;
    this.contextId = contextId;
    this.name = name;
    if (via !== undefined) this.via = via;
  }

  /**
   * Runs `fn` there and returns its value. Rejects with a CallError when `fn` throws, a ChannelError when the context is or goes away,
   * a TypeError, before anything is sent, for a function or an argument that cannot travel. Calls start in the order made.
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
  call(fn: never, ...args: never[]): never {
    return this.features.call(this, fn, args, this.call) as never;
  }

  /** Like {@link call}, but returns at once; the receiver gets one message. It may be discarded unread. Throws a TypeError like `call` rejects. */
  callAsync<F extends FileFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Arrived<Awaited<ResultOf<F, A>>>>;
  callAsync<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Awaited<ResultOf<F, A>>>;
  callAsync<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Receiver<Awaited<R>>;
  callAsync(fn: never, ...args: never[]): never {
    return this.features.callAsync(this, fn, args) as never;
  }

  /** Like {@link callAsync}, without an answer: a failure is logged at the target, as ERROR; that the context is gone, here. */
  callNoReply<F extends AnyFunction, const A extends ArgumentsOf<F>>(fn: F, ...args: A): void;
  callNoReply<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): void;
  callNoReply(fn: never, ...args: never[]): void {
    this.features.callNoReply(this, fn, args);
  }

  /**
   * Runs a generator there, or a function that returns something iterable, and gives its values as they come. The generator runs ahead of the
   * reader by about 1 MiB, no further. Leaving the loop ends it where it stands, its `finally` included, also where it waits for a Node stream
   * or for lines of `readline`; one that waits for something else ends at its next value, or by the signal of its `currentCall()`. What it
   * throws, and the end of the context, are thrown here behind the values that came before. It begins with the first value asked for. A
   * `timeoutMs` of {@link with} bounds the wait for each value, the signal all of it. Throws a TypeError like `call` rejects.
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
  stream(fn: never, ...args: never[]): never {
    return this.features.stream(this, fn, args, {}, this.stream) as never;
  }

  /**
   * Calls a method of a service of that context with named arguments: docs/services.md. A class is started there if need be, by those
   * above that context; a service named by a string must be in its pool. Rejects like {@link call}; a refusal is a CallError with a code.
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
  callService(...request: never[]): never {
    const { callService } = this.features.services(this, {}, this.callService);
    return callService(...(request as [never, never])) as never;
  }

  /** Like {@link callService}, but returns at once; the receiver gets one message. */
  callServiceAsync<S extends ServiceClass, M extends ServiceMethod<S>>(
    service: S,
    method: M,
    ...args: ServiceArguments<S, M>
  ): Receiver<ServiceValue<S, M>>;
  callServiceAsync(service: string, method: string, args?: object): Receiver<unknown>;
  callServiceAsync(...request: never[]): never {
    return this.features.services(this, {}).callServiceAsync(...(request as [never, never])) as never;
  }

  /** The methods of a service, typed: `await context.service(Inventory).list({ kind: "disk" })`. */
  service<S extends ServiceClass>(service: S): ServiceProxy<S> {
    return this.features.services(this, {}).service(service);
  }

  /**
   * The call methods with a bound on how long the caller waits: `call` rejects, and the receiver of `callAsync` ends, with a
   * TimeoutError or the signal's reason. The function is told by the signal of its `currentCall()`; one that does not look at
   * it goes on, one that has not started never will.
   *
   * ```ts
   * await context.with({ timeoutMs: 5000 }).call(fs.promises.rm, "/srv/cache", { recursive: true });
   * ```
   */
  with(options: WaitOptions): BoundCalls & ServiceCalls {
    const { features } = this;
    const bounds = features.bounds("call", options);
    return { ...features.bindCalls(this, bounds), ...features.services(this, bounds) };
  }

  /**
   * A new {@link CallChain} of this context.
   *
   * ```ts
   * await using chain = context.chain();
   * chain.callNoReply(fs.mkdirSync, "/srv/app");
   * chain.callNoReply(fs.writeFileSync, "/srv/app/version", "7");
   * await chain.call(process.chdir, "/srv/app");
   * ```
   */
  chain(): CallChain {
    return this.features.newChain(this);
  }

  /**
   * Ends it: its functions are not waited for, a hung one neither. With `wait` (the default) resolves when it is
   * disconnected and, for a process of ours, reaped; without, when the request is sent. Never rejects; a context already gone is no error. One
   * behind another that does not answer is given up after ten seconds; a program that has connected to a listener is waited for no longer.
   */
  async shutdown(options: { wait?: boolean } = {}): Promise<void> {
    await this.router.shutdownContext(this, this.features.waits(options));
  }

  /**
   * Evaluates a module there, without importing it here, and gives its functions: `(await context.import<typeof import("./tasks.ts")>(url)).backup("/srv")`.
   * `moduleUrl` is an absolute `file:` URL. Rejects with a TypeError for anything else, a ModuleError when the module cannot be sent, and
   * like {@link call} when its evaluation throws. docs/modules.md#module-handles
   */
  import<M = AnyModule>(moduleUrl: string | URL, options: WaitOptions = {}): Promise<ModuleHandle<M>> {
    return this.router.functions.importModule(this, moduleUrl, options) as Promise<ModuleHandle<M>>;
  }

  /** Milliseconds a message takes there and back. Its functions, hung or not, are not waited for; only a thread context that hangs does not answer. Without bounds it waits for as long as the context lives. Rejects like {@link call}. */
  async ping(options: WaitOptions = {}): Promise<number> {
    return this.features.ping(this, this.features.bounds("ping", options));
  }

  /** How it was made, what waits for it, how its link does: for people, and safe to log. docs/debugging.md */
  describe(): ContextDescription {
    return this.features.describe(this);
  }

  /** Resolves once it can no longer be reached; never rejects. Waiting for it does not keep the program alive. */
  get disconnected(): Promise<void> {
    return this.features.disconnected(this);
  }

  /** False once it can no longer be reached. True does not promise that the next call arrives. */
  get isConnected(): boolean {
    return this.goneReason === undefined;
  }

  /**
   * Calls `fn` with the reason when it can no longer be reached, soon if that is so already. Returns a function that takes this back. What
   * `fn` throws, or rejects with, is logged. It does not keep the program alive.
   *
   * ```ts
   * const stop = context.onDisconnect((reason) => console.warn(reason));
   * ```
   */
  onDisconnect(fn: (reason: string) => void): () => void {
    return this.features.onDisconnect(this, fn);
  }

  /** Sends a value to a handle there and waits for its answer. */
  request(handle: number, value: unknown, options?: WaitOptions): Promise<unknown> {
    return this.features.request(this, handle, value, options);
  }

  /** Called by the router when it is gone. */
  markGone(reason: string): void {
    if (this.goneReason !== undefined) return;
    this.goneReason = reason;
    for (const fn of this.goneListeners || []) fn(reason);
  }

  private get features(): Features {
    return this.router.requireFeatures();
  }

  toString(): string {
    return `Context(${this.contextId}, '${this.name}')`;
  }
}

printAsText(Context);
travelsAs(Context, ({ contextId, name, router }) => ({ kind: "context", contextId, name, router }));
