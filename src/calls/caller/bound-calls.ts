import type { Context } from "../../core/context.ts";
import type { Receiver } from "../../core/receiver.ts";
import type { Arrived, FileData, FileFunction, FileLike } from "../../functions/arrived.ts";
import type { Callable } from "../../functions/callable.ts";
import type { AnyFunction, ArgumentsOf, ResultOf } from "../../functions/overloads.ts";
import { call, callAsync, callNoReply } from "./call.ts";
import type { CallOptions } from "./call-request.ts";
import { stream } from "./call-stream.ts";

/** The call methods of a {@link Context}, with a time limit, a signal or a chain. */
export interface BoundCalls {
  /** Like `Context.call`, within the bounds. */
  call<F extends FileFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Promise<Arrived<Awaited<ResultOf<F, A>>>>;
  call<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Promise<Awaited<ResultOf<F, A>>>;
  call<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Promise<Awaited<R>>;
  /** Like `Context.callAsync`. When a bound is reached, the receiver ends with a TimeoutError or the signal's reason. */
  callAsync<F extends FileFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Arrived<Awaited<ResultOf<F, A>>>>;
  callAsync<F extends AnyFunction, const A extends ArgumentsOf<F>>(
    fn: F,
    ...args: A
  ): Receiver<Awaited<ResultOf<F, A>>>;
  callAsync<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): Receiver<Awaited<R>>;
  /** Like `Context.callNoReply`. A call that has not started when a bound is reached never does. */
  callNoReply<F extends AnyFunction, const A extends ArgumentsOf<F>>(fn: F, ...args: A): void;
  callNoReply<A extends readonly unknown[], R>(fn: Callable<A, R>, ...args: A): void;
  /** Like `Context.stream`. `timeoutMs` bounds the wait for each value, `signal` the whole stream. */
  stream<A extends readonly unknown[], T extends FileLike>(
    fn: Callable<A, Streamable<T>>,
    ...args: A
  ): AsyncIterableIterator<FileData<T>>;
  stream<A extends readonly unknown[], T>(
    fn: Callable<A, Streamable<T>>,
    ...args: A
  ): AsyncIterableIterator<Awaited<T>>;
}

/** The result of a generator, or anything else that can be iterated. */
export type Streamable<T> = Iterable<T> | AsyncIterable<T> | Promise<Iterable<T> | AsyncIterable<T>>;

/** Makes the call methods with `options`, whose chain is looked up at every call. */
export function bindCalls(context: Context, options: CallOptions): BoundCalls {
  const boundCall = (fn: never, ...args: never[]): never =>
    call(context, fn, args, boundCall as (...args: never[]) => unknown, options) as never;
  const boundStream = (fn: never, ...args: never[]): never =>
    stream(context, fn, args, options, boundStream as (...args: never[]) => unknown) as never;
  return {
    stream: boundStream as BoundCalls["stream"],
    call: boundCall as BoundCalls["call"],
    callAsync: (fn: never, ...args: never[]) => callAsync(context, fn, args, options) as never,
    callNoReply: (fn: never, ...args: never[]) => callNoReply(context, fn, args, options),
  };
}
