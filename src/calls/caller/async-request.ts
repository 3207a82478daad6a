import { callErrorFrom } from "../../core/call-error.ts";
import type { Context } from "../../core/context.ts";
import { Message } from "../../core/message.ts";
import { Receiver } from "../../core/receiver.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import type { CallRecord } from "../../routing/handler-table.ts";
import { type WaitOptions, watchBounds } from "../../waiting/wait.ts";
import { type ChainLink, type Outgoing, sendPrepared } from "./outbox.ts";

/** A request whose answer a receiver gets. */
export interface AsyncRequest {
  /** The handle of the request at the target. */
  readonly handle: number;
  /** The function whose module the context must have before the request. */
  readonly needed: FunctionName;
  readonly body: readonly Uint8Array[];
  readonly options: WaitOptions;
  readonly chain?: ChainLink | undefined;
  readonly record?: CallRecord;
  /** Completes "Cannot". */
  what(): string;
  /** Called if the request could not be sent. */
  readonly onUnsent?: ((error: unknown) => void) | undefined;
  /** Called when a bound is reached. `replyTo` identifies the request in the target. */
  onGivenUp?(replyTo: number, reason: unknown, outgoing: Outgoing): void;
}

/** Starts a request; its one reply, or whatever makes it pointless to wait for one, arrives at the receiver. */
export function requestAsync(context: Context, request: AsyncRequest): Receiver<unknown> {
  const { router } = context;
  const { options, chain } = request;
  const receiver = new Receiver<unknown>(router, { persist: false, respondent: context }, request.record);
  const { handle: replyTo } = receiver;
  if (receiver.isClosed) {
    // The context is gone: nobody is there to be asked.
    request.onUnsent?.(receiver.endError);
    return receiver;
  }
  const outgoing = {
    isOver: false,
    isSent: false,
    fail: (error: unknown): void => {
      request.onUnsent?.(error);
      // As if it were the reply.
      const to = { dstId: router.contextId, handle: replyTo };
      router.route(Message.to(router, to, { value: callErrorFrom(error) }));
    },
  };
  if (options.timeoutMs !== undefined || options.signal !== undefined) {
    const giveUp = (reason: unknown): void => {
      outgoing.isOver = true;
      request.onGivenUp?.(replyTo, reason, outgoing);
      receiver.abort(reason);
    };
    receiver.watchers.add(watchBounds(options, () => request.what(), giveUp));
  }
  const frame = router.frame(context.contextId, request.handle, request.body, replyTo);
  sendPrepared(context, request.needed, frame, chain, outgoing);
  return receiver;
}
