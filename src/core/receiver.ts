import { ChannelError, TimeoutError } from "../errors.ts";
import type { Frame } from "../wire/frame.ts";
import type { Context } from "./context.ts";
import { Credits } from "./flow-control.ts";
import { deadReason, Message } from "./message.ts";
import type { Policy } from "./policy.ts";
import type { CoreRouter } from "./router.ts";
import { Sender } from "./sender.ts";
import { awaitWithin, type WaitOptions } from "./wait.ts";

export interface ReceiverOptions {
  /** The number wanted; a free one if absent. */
  handle?: number;
  /** False: exactly one message is received. */
  persist?: boolean;
  /** The only context that may send here; its end closes the receiver. */
  respondent?: Context;
  policy?: Policy;
  overwrite?: boolean;
}

interface Waiter<T> {
  resolve(message: Message<T>): void;
  reject(error: Error): void;
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
  readonly handle: number;
  readonly router: CoreRouter;
  readonly #isOneShot: boolean;
  readonly #queue: Message<T>[] = [];
  readonly #credits: Credits;
  readonly #waiters: Set<Waiter<T>> = new Set();
  /** Set once nothing can arrive any more: why a `get` would wait in vain. */
  #endReason: string | undefined;

  constructor(router: CoreRouter, options: ReceiverOptions = {}) {
    this.router = router;
    this.#credits = new Credits(router);
    this.#isOneShot = options.persist === false;
    this.handle = router.listen((frame) => this.receive(frame), {
      handle: options.handle,
      isPersistent: !this.#isOneShot,
      respondentId: options.respondent?.contextId,
      policy: router.framePolicy(options.policy),
      overwrite: options.overwrite ?? false,
    });
    const goneReason = options.respondent?.goneReason;
    if (goneReason !== undefined) this.end(goneReason);
  }

  /**
   * The next message. Rejects with a {@link ChannelError} for a dead message, after `close`, and when nothing can come any
   * more; with a {@link TimeoutError} after `timeoutMs` (0 never waits); with the signal's reason when it aborts. A waiter that gave up
   * takes no message with it. While someone waits the program stays alive.
   */
  async get(options: WaitOptions = {}): Promise<Message<T>> {
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      this.#credits.consumed(queued);
      return living(queued);
    }
    if (this.#endReason !== undefined) throw new ChannelError(this.#endReason);
    if (options.timeoutMs === 0)
      throw new TimeoutError("Cannot get message: none is queued and timeoutMs is 0");
    let waiter: Waiter<T> | undefined;
    return await awaitWithin<Message<T>>(
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

  /** Messages until a dead one or `close`; then it ends quietly. */
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

  /** A handle on this receiver that can be sent to other contexts. */
  toSender(): Sender<T> {
    return new Sender<T>(this.router, this.router.contextId, this.handle);
  }

  /** Messages waiting to be read. */
  size(): number {
    return this.#queue.length;
  }

  /** Ends it: everyone who waits gets a {@link ChannelError}, what is queued is dropped. Safe to call twice. */
  close(): void {
    const reason = "The receiver was closed";
    this.#credits.refuse(this.#queue.splice(0), reason);
    this.end(reason);
    this.#endReason = reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  private receive(frame: Frame): void {
    const message = new Message<T>(this.router, frame);
    message.receiver = this;
    const isFromHere = frame.srcId === this.router.contextId;
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#waiters.delete(waiter);
      this.#credits.consumed(message);
      if (message.isDead) waiter.reject(new ChannelError(deadReason(message)));
      else waiter.resolve(message);
    } else {
      this.#queue.push(message);
    }
    // This context's own router says so when the respondent is gone; a one-shot receiver has had its message.
    if (message.isDead && isFromHere) this.end(deadReason(message));
    else if (this.#isOneShot) this.end("The receiver was for one message and has delivered it");
  }

  private end(reason: string): void {
    // Once only: later the handle may be another's.
    if (this.#endReason === undefined) this.router.unlisten(this.handle);
    this.#endReason ??= reason;
    for (const waiter of this.#waiters) waiter.reject(new ChannelError(reason));
    this.#waiters.clear();
  }
}

function living<T>(message: Message<T>): Message<T> {
  if (message.isDead) throw new ChannelError(deadReason(message));
  return message;
}
