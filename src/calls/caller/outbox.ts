import type { Context } from "../../core/context.ts";
import type { FunctionName } from "../../functions/function-name.ts";
import type { Frame } from "../../wire/frame.ts";

/** The state that a chain's calls share between two resets: src/calls/caller/call-chain.ts. */
export interface ChainLink {
  /** Tells the target about the chain before the call, and returns the chain's id. */
  enter(): number;
  /**
   * Why its calls fail before they are sent. The target learns of its own failures before this process does.
   */
  failure: { readonly error: unknown } | undefined;
}

/** A call that is to be sent. */
export interface Outgoing {
  /** Whether its caller no longer waits. */
  readonly isOver: boolean;
  /** Set when the call leaves. */
  isSent?: boolean;
  /** Why its caller gave it up before it left, if that is a failure of its chain. */
  givenUp?: { readonly error: unknown } | undefined;
  /** Called if it will not be sent. */
  fail(error: unknown): void;
}

/**
 * Sends a call after the modules that it needs. Calls to one context leave in the order in which they were
 * made, so a call that needs no modules still waits for earlier ones that do.
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
    // Set now, in its turn: earlier calls have left.
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
  preparing?.catch(() => undefined); // awaited below, in its turn
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
