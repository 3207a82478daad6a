import { CallError, ChannelError } from "../errors.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Encoding, type Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { formatPath, type Path } from "../wire/path.ts";
import { callErrorFrom } from "./call-error.ts";
import type { Context } from "./context.ts";
import { type Callable, FunctionRef } from "./function-ref.ts";
import { Message } from "./message.ts";
import { Receiver } from "./receiver.ts";
import type { FunctionName } from "./router.ts";
import { awaitWithin, type WaitOptions } from "./wait.ts";

/** Deeper causes keep their stacks as they came. */
const MAX_CAUSES = 16;

type AnyCallable = Callable<readonly unknown[], unknown>;

/** Calls `fn` in `context` and waits for its value; see `Context.call`. Stacks begin above `caller`. */
export async function call(
  context: Context,
  fn: AnyCallable,
  args: readonly unknown[],
  options: WaitOptions,
  caller: (...args: never[]) => unknown,
): Promise<unknown> {
  const { router } = context;
  const name = nameOf(context, fn);
  const body = encodeCall(name, args, router);
  // Where the call was made, for the error's stack. Only the frames are captured here; the text is made when it is read.
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, caller);
  let handle = 0;
  let isOver = false;
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
        handle = router.listen(
          (frame) => {
            try {
              resolve(new Message(router, frame).decode());
            } catch (error) {
              reject(error);
            }
          },
          { isPersistent: false, respondentId: context.contextId },
        );
        sendPrepared(context, name, callFrame(context, body, handle), () => isOver, reject);
      },
      () => {
        isOver = true;
        if (handle !== 0) router.unlisten(handle);
      },
    );
  } catch (error) {
    throw withCallSite(error, context, site);
  }
}

/** Starts a call; its one reply arrives at the receiver. */
export function callAsync(context: Context, fn: AnyCallable, args: readonly unknown[]): Receiver<unknown> {
  const { router } = context;
  const name = nameOf(context, fn);
  const body = encodeCall(name, args, router);
  const receiver = new Receiver<unknown>(router, { persist: false, respondent: context });
  sendPrepared(
    context,
    name,
    callFrame(context, body, receiver.handle),
    () => false,
    (error) => answerLocally(context, receiver.handle, error),
  );
  return receiver;
}

/** Starts a call nobody waits for; the target logs its failure. */
export function callNoReply(context: Context, fn: AnyCallable, args: readonly unknown[]): void {
  const { router } = context;
  const name = nameOf(context, fn);
  const frame = callFrame(context, encodeCall(name, args, router), 0);
  sendPrepared(
    context,
    name,
    frame,
    () => false,
    (error) => router.log.error(`Call of ${printName(name)} in ${context.name} failed: ${error}`),
  );
}

function nameOf(context: Context, fn: AnyCallable): FunctionName {
  if (fn instanceof FunctionRef) return fn;
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot call ${String(fn)} in ${context.name}: it is not a function`);
  }
  return context.router.functions.nameOf(fn as (...args: never[]) => unknown);
}

/** [chain, module, path, arguments]; the arguments are read now, later changes to them do not travel. */
function encodeCall(
  name: FunctionName,
  args: readonly unknown[],
  { limits }: Context["router"],
): readonly Uint8Array[] {
  return encodeValue([null, name.module, name.path, args], { what: describeArgument, limits });
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
  isOver: () => boolean,
  onFailed: (error: unknown) => void,
): void {
  const { router } = context;
  let preparing: Promise<void> | undefined;
  try {
    preparing = router.functions.prepare(context, name);
  } catch (error) {
    onFailed(error);
    return;
  }
  const earlier = context.outbox;
  if (preparing === undefined && earlier === undefined) {
    router.routeFrame(frame);
    return;
  }
  preparing?.catch(() => undefined); // it is looked at when its turn comes
  const turn = (async () => {
    await earlier;
    try {
      await preparing;
    } catch (error) {
      onFailed(error);
      return;
    }
    if (!isOver()) router.routeFrame(frame);
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

/** The remote stack in the lines its author wrote, then where the call was made. */
export function withCallSite(error: unknown, context: Context, site: { stack?: string }): unknown {
  if (!(error instanceof CallError)) return error;
  showOriginalStacks(error, context, 0);
  const here = (site.stack ?? "").split("\n").slice(1).join("\n");
  setStack(error, `${error.stack}\n    at [${context.name}]\n${here}`);
  return error;
}

/** The same for the errors inside it; as deep as they can be nested on the wire. */
function showOriginalStacks(error: Error, context: Context, depth: number): void {
  if (typeof error.stack === "string") {
    setStack(error, readableStack(context, error.stack));
  }
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  for (const inner of [cause, ...(Array.isArray(errors) ? errors : [])]) {
    if (inner instanceof Error && depth < MAX_CAUSES) showOriginalStacks(inner, context, depth + 1);
  }
}

/** A stack from a context in the lines its author wrote. The frames of this library in a child say nothing to them and are left out. */
export function readableStack(context: Context, stack: string): string {
  const lines = context.router.functions.originalStack(stack, context).split("\n");
  return lines.filter((line) => !line.includes("(mitogen:")).join("\n");
}

function setStack(error: Error, value: string): void {
  Object.defineProperty(error, "stack", { value, writable: true, configurable: true, enumerable: false });
}
