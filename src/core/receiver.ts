import { ChannelError, TimeoutError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { callback, flag, handleNumber, instanceOf, WAIT_OPTIONS } from "../options/option-types.ts";
import { checkOwn, checkRouter, type OptionTable, readOptions } from "../options/options.ts";
import type { CallRecord } from "../routing/handler-table.ts";
import { randomHandle } from "../routing/random-handle.ts";
import { awaitWithin, type WaitOptions } from "../waiting/wait.ts";
import { bodyLength, type Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { placedAtWaiter } from "./call-site.ts";
import { Context } from "./context.ts";
import { Credits } from "./flow-control.ts";
import { deadReason, Message } from "./message.ts";
import type { Policy } from "./policy.ts";
import { Queue } from "./queue.ts";
import type { CoreRouter } from "./router.ts";
import { Sender } from "./sender.ts";

/**
 * The most unread bytes from one context. More than a hundred senders that wait for credit, or one that does
 * not, can reach it.
 */
const MAX_UNREAD_BYTES = 128 * 1024 * 1024;
/** The memory that a message takes besides its body. */
const MESSAGE_COST = 512;

/** Options of a {@link Receiver}. */
export interface ReceiverOptions {
  /** The number of the handle, from 1 and below 939,524,096 (2³⁰ − 2²⁷). By default one that is hard to guess. */
  handle?: number;
  /** True by default. False: the receiver takes exactly one message. */
  persist?: boolean;
  /** The only context that may send here. When it ends, the receiver closes. */
  respondent?: Context;
  /** A message is refused, and answered by a dead message, unless the policy returns true for it. */
  policy?: Policy;
  /** Whether to replace a handler that has this handle; the old one gets a dead message. False by default. */
  overwrite?: boolean;
}

/** Options of a wait for a message. */
export interface GetOptions extends WaitOptions {
  /** False returns a dead message (`message.isDead`) instead of throwing a {@link ChannelError}. True by default. */
  readonly throwDead?: boolean;
}

const log = getLogger("mitogen.router", true);

export const RECEIVER_OPTIONS: OptionTable<ReceiverOptions> = {
  handle: handleNumber,
  persist: flag,
  respondent: instanceOf(Context, "a Context"),
  policy: callback,
  overwrite: flag,
};
export const GET_OPTIONS: OptionTable<GetOptions> = { ...WAIT_OPTIONS, throwDead: flag };

interface Waiter<T> {
  resolve(message: Message<T>): void;
  reject(error: unknown): void;
}

/**
 * A queue of messages sent to one handle of this context, in arrival order.
 *
 * ```ts
 * const receiver = new Receiver<string>(router);
 * context.callNoReply(watch, receiver.toSender());
 * for await (const message of receiver) console.log(message.decode());
 * ```
 */
export class Receiver<T = unknown> {
  /** The number that senders to this receiver use. */
  readonly handle: number;
  /** @internal */
  readonly router: CoreRouter;
  readonly #isOneShot: boolean;
  readonly #hasRespondent: boolean;
  readonly #queue: Queue<Message<T>> = new Queue();
  readonly #credits: Credits;
  readonly #waiters: Set<Waiter<T>> = new Set();
  /** Bytes in the queue, by the sending context. */
  readonly #unread: Map<number, number> = new Map();
  /**
   * Called whenever a message was queued, and when nothing more can arrive: for what reads several sources. @internal
   */
  readonly watchers: Set<() => void> = new Set();
  /** Set once nothing can arrive any more. Makes the error of a `get` that would wait for ever. */
  #end: (() => unknown) | undefined;

  /**
   * Registers a handle of this context. Throws a TypeError for an option of the wrong type, and a RangeError for a handle that
   * is out of range, or taken without `overwrite`. The caller closes the receiver. The end of `respondent` or of the router
   * closes it as well.
   */
  constructor(router: CoreRouter, options?: ReceiverOptions);
  /** `call` is the call that it waits for. Only the library passes it, with options that need no check. @internal */
  constructor(router: CoreRouter, options: ReceiverOptions, call: CallRecord | undefined);
  constructor(router: CoreRouter, given: ReceiverOptions = {}, call?: CallRecord) {
    checkRouter("make a receiver", router);
    const options = call === undefined ? readOptions("make a receiver", given, RECEIVER_OPTIONS) : given;
    checkOwn("make a receiver", "respondent", options.respondent, router);
    this.router = router;
    this.#credits = new Credits(router);
    this.#isOneShot = options.persist === false;
    this.#hasRespondent = options.respondent !== undefined;
    this.handle = router.listen((frame) => this.receive(frame), {
      handle: checkHandle(options.handle) ?? randomHandle(router),
      isPersistent: !this.#isOneShot,
      respondentId: options.respondent?.contextId,
      policy: router.framePolicy(options.policy),
      overwrite: options.overwrite ?? false,
      call,
    });
    const goneReason = options.respondent?.goneReason;
    if (goneReason !== undefined) this.end(channelError(goneReason));
  }

  /**
   * Returns the next message. Rejects with a {@link ChannelError} for a dead message, after `close`, and if nothing
   * more can arrive. Rejects with a {@link TimeoutError} after `timeoutMs` milliseconds (0 never waits), and with the
   * reason of `signal`; neither takes a message from the queue. The wait keeps the program alive.
   */
  async get(given?: GetOptions): Promise<Message<T>> {
    const options = given === undefined ? {} : readOptions("get a message", given, GET_OPTIONS);
    try {
      const message = this.tryGet() ?? (await this.wait(options));
      if (message.isDead && options.throwDead !== false) throw new ChannelError(deadReason(message));
      return message;
    } catch (error) {
      await placedAtWaiter(error);
      throw error;
    }
  }

  /** The oldest queued message, dead ones included; undefined when none is queued. Never waits or throws. @internal */
  tryGet(): Message<T> | undefined {
    const queued = this.#queue.shift();
    if (queued === undefined) return undefined;
    this.count(queued, -1);
    this.#credits.consumed(queued);
    return queued;
  }

  /** True once nothing more can arrive; what is queued can still be read. @internal */
  get isClosed(): boolean {
    return this.#end !== undefined;
  }

  /**
   * Why nothing more can arrive. Undefined before that, and when it was for one message and has delivered it. @internal
   */
  get endError(): unknown {
    return this.#end === delivered ? undefined : this.#end?.();
  }

  /** Yields messages until a dead one or `close`, which ends the iteration without an error. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Message<T>> {
    for (;;) {
      try {
        yield await this.get();
      } catch (error) {
        if (error instanceof ChannelError) return;
        throw error;
      }
    }
  }

  /** Returns a {@link Sender} to this receiver, which can travel to other contexts. */
  toSender(): Sender<T> {
    return new Sender<T>(this.router, this.router.contextId, this.handle);
  }

  /** Returns how many messages wait to be read. */
  size(): number {
    return this.#queue.length;
  }

  /**
   * Ends the receiver. Waiting `get`s reject with a {@link ChannelError}; queued messages are dropped. Idempotent.
   */
  close(): void {
    const reason = "The receiver was closed";
    const closed = channelError(reason);
    const unread: Message<T>[] = [];
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) unread.push(next);
    this.#credits.refuse(unread, reason);
    this.#unread.clear();
    this.end(closed);
    this.#end = closed;
  }

  /**
   * Ends the receiver: waiting `get`s, and every `get` once the queue is empty, reject with `reason`. No effect if it
   * has ended. @internal
   */
  abort(reason: unknown): void {
    this.end(() => reason);
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  private wait(options: WaitOptions): Promise<Message<T>> {
    if (this.#end !== undefined) throw this.#end();
    if (options.timeoutMs === 0)
      throw new TimeoutError("Cannot get message: none is queued and timeoutMs is 0");
    let waiter: Waiter<T> | undefined;
    return awaitWithin<Message<T>>(
      this.router.broker,
      options,
      () => "receive a message",
      (resolve, reject) => {
        waiter = { resolve, reject };
        this.#waiters.add(waiter);
      },
      () => this.#waiters.delete(waiter as Waiter<T>),
    );
  }

  private receive(frame: Frame): void {
    const message = new Message<T>(this.router, frame);
    message.receiver = this;
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#waiters.delete(waiter);
      this.#credits.consumed(message);
      waiter.resolve(message);
    } else {
      const unread = this.#unread.get(frame.srcId) ?? 0;
      if (unread > MAX_UNREAD_BYTES && frame.srcId !== this.router.contextId) {
        this.refuse(frame, unread);
        return;
      }
      this.count(frame, 1);
      this.#queue.push(message);
    }
    // This context's own router reports that the respondent is gone, or has freed the handle for good. Its dead answer to a
    // message of this program, by contrast, is one message among others. A one-shot receiver has had its message.
    const isVerdict =
      message.isDead &&
      frame.srcId === this.router.contextId &&
      (this.#hasRespondent || !this.router.hasHandler(this.handle));
    if (isVerdict) this.end(channelError(deadReason(message)));
    else if (this.#isOneShot) this.end(delivered);
    else if (waiter === undefined) this.notify();
  }

  private count(frame: Frame, sign: 1 | -1): void {
    const { srcId } = frame;
    const unread = (this.#unread.get(srcId) ?? 0) + sign * (bodyLength(frame) + MESSAGE_COST);
    if (unread > 0) this.#unread.set(srcId, unread);
    else this.#unread.delete(srcId);
  }

  /** Ends the receiver: a sender that does not wait for credit must not fill this process's memory. */
  private refuse(frame: Frame, unread: number): void {
    const reason = `Cannot deliver message to handle ${this.handle} of context ${this.router.contextId}: ${unread} bytes of context ${frame.srcId} are unread`;
    log.error(reason);
    this.router.answerDead(frame, reason);
  }

  private end(error: () => unknown): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    // Only now: later the handle may belong to another handler.
    this.router.unlisten(this.handle);
    for (const waiter of this.#waiters) waiter.reject(error());
    this.#waiters.clear();
    this.notify();
  }

  private notify(): void {
    for (const watcher of this.watchers) watcher();
  }
}

/** Checks the handle. Other contexts refuse a Sender with a higher one. */
function checkHandle(handle: number | undefined): number | undefined {
  if (handle === undefined || handle < Handle.FIRST_REPLY) return handle;
  throw new RangeError(`Cannot make receiver: handle must be below ${Handle.FIRST_REPLY}, got ${handle}`);
}

const delivered = channelError("The receiver was for one message and has delivered it");

function channelError(reason: string): () => ChannelError {
  return () => new ChannelError(reason);
}
