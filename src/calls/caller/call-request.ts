import { Context } from "../../core/context.ts";
import { Sender } from "../../core/sender.ts";
import { apiRef } from "../../functions/api-ref.ts";
import { type Callable, FunctionRef } from "../../functions/callable.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import { printFunction } from "../../functions/print-function.ts";
import { encodeValue } from "../../wire/cbor/encoder.ts";
import { type Frame } from "../../wire/frame.ts";
import { Handle } from "../../wire/handles.ts";
import { formatPath, type Path } from "../../wire/values/path.ts";
import { textOf } from "../../wire/values/thrown.ts";
import type { ChainLink } from "./outbox.ts";
import type { RequestOptions } from "./pending-request.ts";

/** The part of this library that contexts and senders take, src/calls/caller/router-features.ts. */
const API_PART: FunctionName = apiRef();

export type AnyCallable = Callable<readonly unknown[], unknown>;

export interface CallOptions extends RequestOptions {
  /** The link of a CallChain. */
  readonly chain?: ChainLink;
  /**
   * The user's function that the called function runs; its arguments are inside the call's own. It is sent
   * first, and errors name it.
   */
  readonly about?: FunctionName;
  /** The call site, if it is not where the call is sent. */
  readonly site?: () => string;
}

/** Names a function. Throws a TypeError for any other value, and for a function that the target could not find. */
export function nameOf(context: Context, fn: AnyCallable): FunctionName {
  if (fn instanceof FunctionRef) return fn;
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot call ${textOf(fn)} in ${context.name}: it is not a function`);
  }
  return context.router.functions.nameOf(fn as (...args: never[]) => unknown);
}

export function printCall(name: FunctionName, context: Context): string {
  return `${printFunction(name)} in ${context.name}`;
}

/**
 * Encodes [chain, module, path, arguments, quiet?]. The arguments are read now; later changes to them do not
 * travel.
 */
export function encodeCall(
  context: Context,
  name: FunctionName,
  args: readonly unknown[],
  { chain, about }: CallOptions,
  isQuiet = false,
  hasAnswer: boolean = !isQuiet,
): readonly Uint8Array[] {
  const what = about === undefined ? describeArgument : describeInnerArgument;
  const { router } = context;
  const { functions, maxMessageBytes } = router;
  // A call that is larger gets a dead message as its answer. Without an answer, nobody would learn of it.
  const limits = hasAnswer ? router.limits : { ...router.limits, maxMessageBytes };
  // Sent before it is used. A target that finds a reference deeper in the arguments asks for it.
  if (args.some(isReference)) void functions.prepare(context, API_PART);
  if (chain === undefined && !isQuiet) {
    return encodeValue(args, { what, limits, router, head: headOf(name) });
  }
  const request: unknown[] = [chain === undefined ? null : chain.enter(), name.module, name.path, args];
  if (isQuiet) request.push(true);
  return encodeValue(request, { what, limits, router });
}

function isReference(argument: unknown): boolean {
  return argument instanceof Context || argument instanceof Sender;
}

const heads = new WeakMap<FunctionName, Buffer>();

/**
 * The encoded call of the function without a chain, up to its arguments. Kept, because most functions are
 * called more than once.
 */
function headOf(name: FunctionName): Buffer {
  let head = heads.get(name);
  if (head === undefined) {
    head = Buffer.concat(encodeValue([null, name.module, name.path]));
    // An array of four.
    head[0] = 0x84;
    heads.set(name, head);
  }
  return head;
}

function describeArgument(path: Path): string {
  // The first element is the position in the request, the second the number of the argument.
  const [, index, ...rest] = path;
  return formatPath(rest, `argument ${index}`);
}

/** For a call that is about another function, whose arguments are in a list of their own. */
function describeInnerArgument([first = 0, , ...path]: Path): string {
  return describeArgument([first, ...path]);
}

export function callFrame(context: Context, body: readonly Uint8Array[], replyTo: number): Frame {
  return context.router.frame(context.contextId, Handle.CALL_FUNCTION, body, replyTo);
}
