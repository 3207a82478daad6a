import { ChannelError } from "../errors.ts";
import { encodeValue } from "../wire/encoder.ts";
import { errorFromThrown } from "../wire/error-value.ts";
import { Encoding, type Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { formatPath, type Path } from "../wire/path.ts";
import { headOf, textOf } from "../wire/thrown.ts";
import { callErrorFrom } from "./call-error.ts";
import { callSite, withCallSite } from "./call-site.ts";
import { Context } from "./context.ts";
import { type Callable, FunctionRef } from "./function-ref.ts";
import { noteCall } from "./in-flight.ts";
import { Message } from "./message.ts";
import type { AnyFunction, ArgumentsOf, ResultOf } from "./overloads.ts";
import { Receiver } from "./receiver.ts";
import type { FunctionName } from "./router.ts";
import { Sender } from "./sender.ts";
import { stream } from "./stream.ts";
import { isStreamLeft } from "./stream-left.ts";
import { awaitWithin, type WaitOptions, watchBounds } from "./wait.ts";

/** The part of this library that contexts and senders take, src/core/features.ts. */
const FEATURES: FunctionName = { module: "mitogen:api", path: [] };

type AnyCallable = Callable<readonly unknown[], unknown>;

/** The call methods of a {@link Context}, bound to a time limit, an abort signal, a chain. */
export interface BoundCalls {
  call<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Promise<Awaited<ResultOf<F, A>>>;
  call<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Promise<Awaited<R>>;
  callAsync<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Awaited<ResultOf<F, A>>>;
  callAsync<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Receiver<Awaited<R>>;
  callNoReply<F extends AnyFunction, const A extends ArgumentsOf<F>>(fn: F, ...args: A): void;
  callNoReply<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): void;
  stream<A extends readonly unknown[], T>(
    fn: Callable<A, Streamable<T>>,
    ...args: A
  ): AsyncIterableIterator<Awaited<T>>;
}

/** What a generator returns, or anything else that can be iterated. */
export type Streamable<T> = Iterable<T> | AsyncIterable<T> | Promise<Iterable<T> | AsyncIterable<T>>;

/** What a chain's calls share between two resets; src/core/call-chain.ts. */
export interface ChainLink {
  /** Makes the target know the chain, ahead of the call, and answers its id. */
  enter(): number;
  /** Why its calls fail unsent. What fails at the target is known there, before it is known here. */
  failure: { readonly error: unknown } | undefined;
}

export interface CallOptions extends WaitOptions {
  /** A CallChain's own. */
  readonly chain?: ChainLink;
  /** What has to be sent ahead instead of the function itself. */
  readonly needs?: FunctionName;
}

/** Calls `fn` in `context` and waits for its value; see `Context.call`. Stacks begin above `caller`. */
export async function call(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  options: CallOptions,
  caller: (...args: never[]) => unknown,
): Promise<unknown> {
  const { router } = context;
  const { chain } = options;
  const name = nameOf(context, fn);
  const body = encodeCall(context, name, args, chain);
  // Where the call was made, for the error's stack. Only the frames are captured here; the text is made when it is read.
  const site = callSite(caller);
  let handle = 0;
  let isOver = false;
  let isAnswered = false;
  let forget: (() => void) | undefined;
  try {
    return await awaitWithin<unknown>(
      router.broker,
      options,
      () => `call ${printName(name)} in ${context.name}`,
      (resolve, reject) => {
        if (context.goneReason !== undefined) {
          reject(new ChannelError(context.goneReason));
          return;
        }
        forget = noteCall(context, name);
        handle = router.listen(
          (frame) => {
            isAnswered = true;
            try {
              resolve(new Message(router, frame).decode());
            } catch (error) {
              reject(error);
            }
          },
          { isPersistent: false, respondentId: context.contextId },
        );
        sendPrepared(
          context,
          options.needs ?? name,
          callFrame(context, body, handle),
          chain,
          () => isOver,
          (error) => {
            isAnswered = true;
            reject(error);
          },
        );
      },
      () => {
        isOver = true;
        forget?.();
        if (handle !== 0) router.unlisten(handle);
      },
    );
  } catch (error) {
    if (handle !== 0 && !isAnswered) cancel(context, handle, error, chain);
    throw withCallSite(error, context, site);
  }
}

/** Starts a call; its one reply arrives at the receiver. */
export function callAsync(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  options: CallOptions = {},
  isQuiet = false,
): Receiver<unknown> {
  const { router } = context;
  const { chain } = options;
  const name = nameOf(context, fn);
  const body = encodeCall(context, name, args, chain, isQuiet);
  const receiver = new Receiver<unknown>(router, { persist: false, respondent: context });
  const { handle } = receiver;
  let isOver = false;
  if (!receiver.isClosed) {
    const giveUp = (reason: unknown): void => {
      isOver = true;
      cancel(context, handle, reason, chain);
      receiver.abort(reason);
    };
    receiver.watchers.add(noteCall(context, name));
    receiver.watchers.add(watchBounds(options, () => `call ${printName(name)} in ${context.name}`, giveUp));
  }
  sendPrepared(
    context,
    name,
    callFrame(context, body, handle),
    chain,
    () => isOver,
    (error) => {
      if (isQuiet) logFailure(context, name, error, chain);
      // As if it were the reply: nothing was sent.
      router.route(Message.to(router, { dstId: router.contextId, handle }, { value: callErrorFrom(error) }));
    },
  );
  return receiver;
}

/** Starts a call nobody waits for; the target logs its failure. */
export function callNoReply(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  options: CallOptions = {},
): void {
  if (options.timeoutMs !== undefined || options.signal !== undefined) {
    // Its end must be known here, or its bounds would be watched for ever.
    callAsync(context, fn, args, options, true);
    return;
  }
  const { chain } = options;
  const name = nameOf(context, fn);
  sendPrepared(
    context,
    name,
    callFrame(context, encodeCall(context, name, args, chain), 0),
    chain,
    () => false,
    (error) => logFailure(context, name, error, chain),
  );
}

/** The call methods with `options`, whose chain is looked up at every call. */
export function bindCalls(context: Context, options: CallOptions): BoundCalls {
  const boundCall = (fn: never, ...args: never[]): never =>
    call(context, fn, args, options, boundCall as (...args: never[]) => unknown) as never;
  const boundStream = (fn: never, ...args: never[]): never =>
    stream(context, fn, args, options, boundStream as (...args: never[]) => unknown) as never;
  return {
    stream: boundStream as BoundCalls["stream"],
    call: boundCall as BoundCalls["call"],
    callAsync: (fn: never, ...args: never[]) => callAsync(context, fn, args, options) as never,
    callNoReply: (fn: never, ...args: never[]) => callNoReply(context, fn, args, options),
  };
}

/** Tells the target that nobody waits for a call any more; where nothing can notice that, nothing happens. */
function cancel(context: Context, callId: number, reason: unknown, chain: ChainLink | undefined): void {
  const { router } = context;
  if (chain !== undefined && !isStreamLeft(reason)) chain.failure ??= { error: reason };
  const to = { dstId: context.contextId, handle: Handle.CANCEL_CALL };
  const say = (error: Error): void => router.route(Message.to(router, to, { value: [callId, error] }));
  try {
    say(errorFromThrown(reason));
  } catch {
    // A signal may be aborted with anything; what cannot be read does not travel.
    say(new Error(headOf(reason)));
  }
}

/** Of a call without an answer. That of a chain surfaces from its next call. */
function logFailure(
  context: Context,
  name: FunctionName,
  error: unknown,
  chain: ChainLink | undefined,
): void {
  if (chain === undefined) {
    context.router.log.error(`Call of ${printName(name)} in ${context.name} failed: ${headOf(error)}`);
  }
}

export function nameOf(context: Context, fn: AnyCallable): FunctionName {
  if (fn instanceof FunctionRef) return fn;
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot call ${textOf(fn)} in ${context.name}: it is not a function`);
  }
  return context.router.functions.nameOf(fn as (...args: never[]) => unknown);
}

/** [chain, module, path, arguments, quiet?]; the arguments are read now, later changes to them do not travel. */
function encodeCall(
  context: Context,
  name: FunctionName,
  args: readonly unknown[],
  chain: ChainLink | undefined,
  isQuiet = false,
): readonly Uint8Array[] {
  const { router } = context;
  const { functions, limits } = router;
  // To be there when it is used; a target that finds one elsewhere in the arguments asks for it.
  if (args.some((arg) => arg instanceof Context || arg instanceof Sender))
    void functions.prepare(context, FEATURES);
  const request: unknown[] = [chain === undefined ? null : chain.enter(), name.module, name.path, args];
  if (isQuiet) request.push(true);
  return encodeValue(request, { what: describeArgument, limits, router });
}

function describeArgument(path: Path): string {
  // The first element is the place in the request, the second the argument's number.
  const [, index, ...rest] = path;
  return formatPath(rest, `argument ${index}`);
}

function callFrame(context: Context, body: readonly Uint8Array[], replyTo: number): Frame {
  const { contextId } = context.router;
  return {
    encoding: Encoding.CBOR,
    dstId: context.contextId,
    srcId: contextId,
    authId: contextId,
    handle: Handle.CALL_FUNCTION,
    replyTo,
    body,
  };
}

/**
 * Sends a call once what it needs has been sent ahead of it. Calls to one context leave in the order they were made, so one
 * that needs nothing still waits for earlier ones that do. `onFailed` gets the error when the modules cannot be sent.
 */
export function sendPrepared(
  context: Context,
  name: FunctionName,
  frame: Frame,
  chain: ChainLink | undefined,
  isOver: () => boolean,
  onFailed: (error: unknown) => void,
): void {
  const { router } = context;
  const fail = (error: unknown): void => {
    if (chain !== undefined) chain.failure ??= { error };
    onFailed(error);
  };
  const send = (): void => {
    if (isOver()) return;
    if (chain?.failure === undefined) router.routeFrame(frame);
    else onFailed(chain.failure.error);
  };
  let preparing: Promise<void> | undefined;
  try {
    preparing = router.functions.prepare(context, name);
  } catch (error) {
    fail(error);
    return;
  }
  const earlier = context.outbox;
  if (preparing === undefined && earlier === undefined) {
    send();
    return;
  }
  preparing?.catch(() => undefined); // it is looked at when its turn comes
  const turn = (async () => {
    await earlier;
    try {
      await preparing;
    } catch (error) {
      fail(error);
      return;
    }
    send();
  })();
  context.outbox = turn;
  void turn.then(() => {
    if (context.outbox === turn) context.outbox = undefined;
  });
}

/** Delivers a failure that happened before anything was sent as if it were the reply. */
export function answerLocally(context: Context, handle: number, error: unknown): void {
  const { router } = context;
  router.route(Message.to(router, { dstId: router.contextId, handle }, { value: callErrorFrom(error) }));
}

function printName(name: FunctionName): string {
  return `${name.path.join(".") || "default"} of ${name.module}`;
}
