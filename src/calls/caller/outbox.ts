import type { Context } from "../../core/context.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import type { Frame } from "../../wire/frame.ts";

/** What a chain's calls share between two resets; src/calls/caller/call-chain.ts. */
export interface ChainLink {
  /** Makes the target know the chain, ahead of the call, and answers its id. */
  enter(): number;
  /** Why its calls fail unsent. What fails at the target is known there, before it is known here. */
  failure: { readonly error: unknown } | undefined;
}

/** What is to be sent. */
export interface Outgoing {
  /** Nobody wants it any more. */
  readonly isOver: boolean;
  /** Set when it leaves. */
  isSent?: boolean;
  /** Why its caller has given it up before it left, if that is a failure of its chain. */
  givenUp?: { readonly error: unknown } | undefined;
  /** It will not be sent. */
  fail(error: unknown): void;
}

/**
 * Sends a call once what it needs has been sent ahead of it. Calls to one context leave in the order they were made, so one
 * that needs nothing still waits for earlier ones that do.
 */
export function sendPrepared(
  context: Context,
  needed: FunctionName,
  frame: Frame,
  chain: ChainLink | undefined,
  call: Outgoing,
): void {
  let preparing: Promise<void> | undefined;
  try {
    preparing = context.router.functions.prepare(context, needed);
  } catch (error) {
    failUnsent(chain, call, error);
    return;
  }
  if (preparing === undefined && context.outbox === undefined) send(context, frame, chain, call);
  else sendInTurn(context, preparing, frame, chain, call);
}

function send(context: Context, frame: Frame, chain: ChainLink | undefined, call: Outgoing): void {
  if (call.isOver) {
    // Now, in its turn: the calls made before it have left.
    if (chain !== undefined) chain.failure ??= call.givenUp;
    return;
  }
  if (chain?.failure === undefined) {
    call.isSent = true;
    context.router.routeFrame(frame);
  } else call.fail(chain.failure.error);
}

function failUnsent(chain: ChainLink | undefined, call: Outgoing, error: unknown): void {
  if (chain !== undefined) chain.failure ??= { error };
  call.fail(error);
}

function sendInTurn(
  context: Context,
  preparing: Promise<void> | undefined,
  frame: Frame,
  chain: ChainLink | undefined,
  call: Outgoing,
): void {
  const earlier = context.outbox;
  preparing?.catch(() => undefined); // it is looked at when its turn comes
  const turn = (async () => {
    await earlier;
    try {
      await preparing;
    } catch (error) {
      failUnsent(chain, call, error);
      return;
    }
    send(context, frame, chain, call);
  })();
  context.outbox = turn;
  void turn.then(() => {
    if (context.outbox === turn) context.outbox = undefined;
  });
}
