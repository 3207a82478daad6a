import { newAbortEnd } from "./abort-end.ts";
import { call } from "./call.ts";
import { type CallOptions, nameOf } from "./call-request.ts";
import { placedAtWaiter } from "./call-site.ts";
import type { Context } from "./context.ts";
import { type Callable, FunctionRef } from "./function-ref.ts";
import { Receiver } from "./receiver.ts";
import { STREAM_LEFT } from "./stream-left.ts";

/** In the target: src/calls/run-stream.ts. */
const RUN = new FunctionRef("mitogen:api", ["runStream"]);
/** Stands in for an error where there was none. */
const END = new Error("The stream has ended");

/** The values that a generator yields in `context`; see `Context.stream`. */
export function stream(
  context: Context,
  fn: Callable<readonly unknown[], unknown>,
  args: readonly unknown[],
  options: CallOptions,
  caller: (...args: never[]) => unknown,
): AsyncIterableIterator<unknown> {
  // A function that cannot be named is refused here, not at the first value.
  const { module, path } = nameOf(context, fn);
  const begin = (receiver: Receiver<unknown>, signal: AbortSignal): Promise<unknown> => {
    const request = [module, path, args, receiver.toSender()];
    return call(context, RUN, request, caller, { ...options, signal, needs: { module, path } });
  };
  return values(context, options, begin);
}

async function* values(
  context: Context,
  { signal }: CallOptions,
  begin: (receiver: Receiver<unknown>, signal: AbortSignal) => Promise<unknown>,
): AsyncIterableIterator<unknown> {
  const receiver = new Receiver<unknown>(context.router, { respondent: context });
  const end = newAbortEnd();
  const giveUp = (): void => end.abort(signal?.reason);
  if (signal?.aborted === true) giveUp();
  signal?.addEventListener("abort", giveUp);
  // The answer follows the values: what is queued is still read.
  const running = begin(receiver, end.signal).then(
    () => receiver.abort(END),
    (error) => receiver.abort(error),
  );
  try {
    for (;;) yield (await receiver.get()).decode();
  } catch (error) {
    if (error !== END) throw await placedAtWaiter(error, 1, true);
  } finally {
    signal?.removeEventListener("abort", giveUp);
    end.abort(STREAM_LEFT);
    // The generator is told before it can notice: what it has to say then is no failure.
    await running;
    receiver.close();
  }
}
