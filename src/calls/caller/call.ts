import { callSite, isOwnError, placedAt, withAwaitingSite, withCallSite } from "../../core/call-site.ts";
import type { Context } from "../../core/context.ts";
import { Message } from "../../core/message.ts";
import type { Receiver } from "../../core/receiver.ts";
import { ChannelError } from "../../errors.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import type { AnyFunction } from "../../functions/overloads.ts";
import type { CallRecord } from "../../routing/handler-table.ts";
import { Handle } from "../../wire/handles.ts";
import { errorFromThrown, isCallError } from "../../wire/values/error-value.ts";
import { headOf } from "../../wire/values/thrown.ts";
import { requestAsync } from "./async-request.ts";
import {
  type AnyCallable,
  type CallOptions,
  callFrame,
  encodeCall,
  nameOf,
  printCall,
} from "./call-request.ts";
import { type ChainLink, type Outgoing, sendPrepared } from "./outbox.ts";
import { PendingRequest } from "./pending-request.ts";
import { isStreamLeft } from "./reader-left.ts";

const NO_OPTIONS: CallOptions = {};
/** The most pending calls of one context for which the call site is captured: docs/errors.md#stacks. */
const MAX_SITES = 32;

/** Calls `fn` in `context` and waits for its value; see `Context.call`. Stacks begin above `caller`. */
export function call(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  caller: AnyFunction,
  options: CallOptions = NO_OPTIONS,
): Promise<unknown> {
  // An error thrown in here, before anything is sent, rejects the promise.
  return new Promise((resolve, reject) => {
    const name = nameOf(context, fn);
    const body = encodeCall(context, name, args, options);
    const pending = new PendingCall(context, options.about ?? name, options, caller, resolve, reject);
    let replyTo: number;
    try {
      replyTo = pending.begin(options);
    } catch (error) {
      throw isOwnError(error) ? placedAt(error, callSite(caller)()) : error;
    }
    sendPrepared(context, pending.name, callFrame(context, body, replyTo), options.chain, pending);
  });
}

/** One call, from start to end. `Context.describe` shows it, too. */
class PendingCall extends PendingRequest implements CallRecord, Outgoing {
  readonly name: FunctionName;
  readonly since: number = Date.now();
  isSent = false;
  givenUp: Outgoing["givenUp"];
  private readonly chain: ChainLink | undefined;
  private readonly site: (() => string) | undefined;

  constructor(
    context: Context,
    name: FunctionName,
    { chain, site }: CallOptions,
    caller: AnyFunction,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super(context, Handle.CALL_FUNCTION, resolve, reject);
    this.name = name;
    this.chain = chain;
    const { handlers } = context.router;
    this.site = site ?? (handlers.countFor(context.contextId) < MAX_SITES ? callSite(caller) : undefined);
  }

  get call(): CallRecord {
    return this;
  }

  override fail(error: unknown): void {
    const { context, site } = this;
    if (!this.end()) return;
    if (!isCallError(error) && !isOwnError(error)) this.reject(error);
    else if (site !== undefined) this.reject(withCallSite(error, context, site));
    else this.resolve(withAwaitingSite(error, context));
  }

  protected override giveUp(reason: unknown): void {
    this.fail(reason);
    cancel(this.context, this.handle, reason, this.chain, this);
  }

  protected override what(): string {
    return `call ${printCall(this.name, this.context)}`;
  }
}

/** Starts a call. Its only reply arrives at the receiver. */
export function callAsync(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  options: CallOptions = NO_OPTIONS,
  isQuiet = false,
): Receiver<unknown> {
  const { chain } = options;
  const name = nameOf(context, fn);
  return requestAsync(context, {
    handle: Handle.CALL_FUNCTION,
    needed: name,
    body: encodeCall(context, name, args, options, isQuiet),
    options,
    chain,
    record: { name, since: Date.now() },
    what: () => `call ${printCall(name, context)}`,
    onUnsent: isQuiet ? (error) => logFailure(context, name, error, chain) : undefined,
    onGivenUp: (callId, reason, call) => cancel(context, callId, reason, chain, call),
  });
}

/** Starts a call without a reply. The target logs its failure. */
export function callNoReply(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  options: CallOptions = NO_OPTIONS,
): void {
  if (options.timeoutMs !== undefined || options.signal !== undefined) {
    // This process must learn when the call ends. Otherwise it would watch the bounds for ever.
    callAsync(context, fn, args, options, true);
    return;
  }
  const { chain } = options;
  const name = nameOf(context, fn);
  const frame = callFrame(context, encodeCall(context, name, args, options, false, false), 0);
  const fail = (error: unknown): void => logFailure(context, name, error, chain);
  if (context.goneReason !== undefined) {
    fail(new ChannelError(context.goneReason));
    return;
  }
  sendPrepared(context, name, frame, chain, { isOver: false, fail });
}

/** Tells the target that nobody waits for a call any more. Has no effect if the call's function cannot notice. */
function cancel(
  context: Context,
  callId: number,
  reason: unknown,
  chain: ChainLink | undefined,
  call: Outgoing,
): void {
  const { router } = context;
  if (!isStreamLeft(reason)) call.givenUp = { error: reason };
  // The target does not know the call. Its chain fails when the call's turn comes, so that earlier calls
  // still leave.
  if (!call.isSent) return;
  if (chain !== undefined) chain.failure ??= call.givenUp;
  const to = { dstId: context.contextId, handle: Handle.CANCEL_CALL };
  const say = (error: Error): void => router.route(Message.to(router, to, { value: [callId, error] }));
  try {
    say(errorFromThrown(reason));
  } catch {
    // A signal may be aborted with any value. One that cannot be read does not travel.
    say(new Error(headOf(reason)));
  }
}

/** Logs the failure of a call without a reply. The failure of a chain's call surfaces in its next call. */
function logFailure(
  context: Context,
  name: FunctionName,
  error: unknown,
  chain: ChainLink | undefined,
): void {
  if (chain === undefined) {
    context.router.log.error(`Call of ${printCall(name, context)} failed: ${headOf(error)}`);
  }
}
