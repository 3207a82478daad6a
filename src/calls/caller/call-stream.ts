import { callSite, placedAtWaiter, withReaderSite } from "../../core/call-site.ts";
import type { Context } from "../../core/context.ts";
import type { Message } from "../../core/message.ts";
import { Receiver } from "../../core/receiver.ts";
import { apiRef } from "../../functions/api-ref.ts";
import type { Callable } from "../../functions/callable.ts";
import { newAbortEnd } from "../../waiting/abort-end.ts";
import { onAbort, watchBounds } from "../../waiting/wait.ts";
import { call } from "./call.ts";
import { type CallOptions, nameOf, printCall } from "./call-request.ts";
import { STREAM_LEFT } from "./reader-left.ts";

/** The function in the target: src/calls/target/run-stream.ts. */
const RUN = apiRef("runStream");
/** Marks an end without an error. */
const END = new Error("The stream has ended");

type Begin = (receiver: Receiver<unknown>, signal: AbortSignal) => Promise<unknown>;

/** Returns the values that a generator yields in `context`; see `Context.stream`. */
export function stream(
  context: Context,
  fn: Callable<readonly unknown[], unknown>,
  args: readonly unknown[],
  { timeoutMs, ...options }: CallOptions,
  caller: (...args: never[]) => unknown,
): AsyncIterableIterator<unknown> {
  // A function that cannot be named is refused here, not at the first value.
  const about = nameOf(context, fn);
  const site = options.site ?? callSite(caller);
  const begin: Begin = (receiver, signal) => {
    const request = [about.module, about.path, args, receiver.toSender()];
    // Only who waits for a value keeps the program alive, not a stream that nobody reads.
    return call(context, RUN, request, caller, { ...options, signal, about, site, isUnheld: true });
  };
  return values(context, { ...options, timeoutMs, about }, begin);
}

async function* values(
  context: Context,
  { signal, timeoutMs, about }: CallOptions & Required<Pick<CallOptions, "about">>,
  begin: Begin,
): AsyncIterableIterator<unknown> {
  const receiver = new Receiver<unknown>(context.router, { respondent: context });
  const end = newAbortEnd();
  const unwatch = signal && onAbort(signal, () => end.abort(signal.reason));
  let reason: unknown = STREAM_LEFT;
  // The answer comes after the values, so queued values are still read.
  const running = begin(receiver, end.signal).then(
    () => receiver.abort(END),
    (error) => receiver.abort(error),
  );
  const giveUp = (timeout: unknown): void => {
    reason = timeout;
    receiver.abort(timeout);
  };
  /**
   * Bounds by `timeoutMs` the time that the generator takes for a value, not the time that the reader takes.
   */
  const next = async (): Promise<Message<unknown>> => {
    if (timeoutMs === undefined || receiver.size() > 0) return await receiver.get();
    const stop = watchBounds({ timeoutMs }, () => `stream ${printCall(about, context)}`, giveUp, "value");
    try {
      return await receiver.get();
    } finally {
      stop();
    }
  };
  try {
    for (;;) yield (await next()).decode();
  } catch (error) {
    if (error !== END) {
      await placedAtWaiter(error, 1, true);
      await withReaderSite(error);
      throw error;
    }
  } finally {
    unwatch?.();
    context.router.broker.hold();
    end.abort(reason);
    // The generator learns this before it can notice by itself, so an error that it throws then is not a failure.
    await running;
    context.router.broker.release();
    receiver.close();
  }
}
