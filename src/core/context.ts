import { MitogenError } from "../errors.ts";
import { Handle } from "../wire/handles.ts";
import { travelsAs } from "../wire/references.ts";
import { type BoundCalls, bindCalls, type CallOptions, call, callAsync, callNoReply } from "./call.ts";
import type { CallChain } from "./call-chain.ts";
import { Deferred } from "./deferred.ts";
import type { Callable } from "./function-ref.ts";
import { printAsText } from "./inspectable.ts";
import { Message } from "./message.ts";
import type { Receiver } from "./receiver.ts";
import type { CoreRouter } from "./router.ts";
import { awaitWithin, type WaitOptions } from "./wait.ts";

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
  #disconnected: Deferred<void> | undefined;
  constructor(router: CoreRouter, contextId: number, name: string, via?: Context) {
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
  call<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Promise<Awaited<R>> {
    return call(this, fn as never, args, {}, this.call) as Promise<Awaited<R>>;
  }

  /** Like {@link call}, but returns at once; the receiver gets one message. It may be discarded unread. Throws a TypeError like `call` rejects. */
  callAsync<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Receiver<Awaited<R>> {
    return callAsync(this, fn as never, args) as Receiver<Awaited<R>>;
  }

  /** Like {@link callAsync}, without an answer: a failure is logged at the target, as ERROR. */
  callNoReply<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): void {
    callNoReply(this, fn as never, args);
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
  with(options: CallOptions): BoundCalls {
    return bindCalls(this, options);
  }

  /**
   * A new {@link CallChain} of this context. In a context, what it takes comes with the import of `mitogen`; throws a MitogenError without.
   *
   * ```ts
   * await using chain = context.chain();
   * chain.callNoReply(fs.mkdirSync, "/srv/app");
   * chain.callNoReply(fs.writeFileSync, "/srv/app/version", "7");
   * await chain.call(process.chdir, "/srv/app");
   * ```
   */
  chain(): CallChain {
    const { newChain } = this.router;
    if (newChain !== undefined) return newChain(this);
    throw new MitogenError('Cannot make chain: the module that makes it must import "mitogen"');
  }

  /**
   * Ends it: its functions are not waited for, a hung one neither. With `wait` (the default) resolves when it is
   * disconnected and, for a process of ours, reaped; without, when the request is sent. Never rejects; a context already gone is no error.
   */
  shutdown(options: { wait?: boolean } = {}): Promise<void> {
    return this.router.shutdownContext(this, options.wait ?? true);
  }

  /** Milliseconds a message takes there and back. Its functions, hung or not, are not waited for; only a thread context that hangs does not answer. Rejects like {@link call}. */
  async ping(options: WaitOptions = {}): Promise<number> {
    const started = process.hrtime();
    await this.request(Handle.PING, null, options);
    const [seconds, nanoseconds] = process.hrtime(started);
    return seconds * 1e3 + nanoseconds / 1e6;
  }

  /** Resolves once it can no longer be reached; never rejects. Waiting for it does not keep the program alive. */
  get disconnected(): Promise<void> {
    if (this.goneReason !== undefined) return Promise.resolve();
    this.#disconnected ??= new Deferred<void>();
    return this.#disconnected.promise;
  }

  /** Sends a value to a handle there and waits for its answer. */
  async request(handle: number, value: unknown, options: WaitOptions = {}): Promise<unknown> {
    const { router } = this;
    let replyTo = 0;
    return await awaitWithin(
      router.broker,
      options,
      () => `reach handle ${handle} of ${this.name}`,
      (resolve, reject) => {
        replyTo = router.listen(
          (frame) => {
            try {
              resolve(new Message(router, frame).decode());
            } catch (error) {
              reject(error);
            }
          },
          { isPersistent: false, respondentId: this.contextId },
        );
        router.route(Message.to(router, { dstId: this.contextId, handle, replyTo }, { value }));
      },
      () => router.unlisten(replyTo),
    );
  }

  /** Called by the router when it is gone. */
  markGone(reason: string): void {
    if (this.goneReason !== undefined) return;
    this.goneReason = reason;
    this.#disconnected?.resolve();
  }

  toString(): string {
    return `Context(${this.contextId}, '${this.name}')`;
  }
}

printAsText(Context);
travelsAs(Context, ({ contextId, name }) => ({ kind: "context", contextId, name }));
