import { handleNumber, instanceOf, required } from "../options/option-types.ts";
import { checkOwn, type OptionTable, readOptions } from "../options/options.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import { Context } from "./context.ts";
import { RECEIVER_OPTIONS, Receiver, type ReceiverOptions } from "./receiver.ts";
import type { CoreRouter } from "./router.ts";
import { Sender } from "./sender.ts";

/** Options of a {@link Channel}. */
export interface ChannelOptions extends ReceiverOptions {
  /** The context to send to. */
  readonly context: Context;
  /** The handle to send to in that context, from 1. */
  readonly dstHandle: number;
}

const CHANNEL_OPTIONS: OptionTable<ChannelOptions> = {
  ...RECEIVER_OPTIONS,
  context: required(instanceOf(Context, "a Context")),
  dstHandle: required(handleNumber),
};

/**
 * A {@link Receiver} and a {@link Sender} to another context in one: two channels that know each other's handles talk
 * both ways. The channel takes only messages of `context`, and ends with it, unless `respondent` names another context.
 * Throws as a {@link Receiver} does, and a RangeError if `dstHandle` is not a handle.
 *
 * ```ts
 * const channel = new Channel<string>(router, { context, dstHandle: 2000, handle: 2000 });
 * await channel.send("hello");
 * const answer = await channel.get();
 * ```
 */
export class Channel<T = unknown> extends Receiver<T> {
  /** The sending end, to the other channel's handle. */
  readonly sender: Sender<T>;

  constructor(router: CoreRouter, given: ChannelOptions) {
    const { context, dstHandle, ...options } = readOptions("make a channel", given, CHANNEL_OPTIONS);
    checkOwn("make a channel", "context", context, router);
    super(router, { respondent: context, ...options });
    this.sender = new Sender<T>(router, context.contextId, dstHandle);
  }

  /** Sends one value to the other end; see {@link Sender.send}. */
  send(value: T, options?: WaitOptions): Promise<void> {
    return this.sender.send(value, options);
  }

  /** Closes both directions: the other end is told that nothing more will come. Safe to call twice. */
  override close(): void {
    if (!this.#isClosed) this.sender.close();
    this.#isClosed = true;
    super.close();
  }
  #isClosed = false;
}
