import { callSite, withCallSite } from "../../core/call-site.ts";
import type { Context } from "../../core/context.ts";
import { Message } from "../../core/message.ts";
import { handleNumber, WAIT_OPTIONS } from "../../options/option-types.ts";
import { readOptions, takeOption } from "../../options/options.ts";
import type { WaitOptions } from "../../waiting/wait.ts";
import { encodeValue } from "../../wire/cbor/encoder.ts";
import { Handle } from "../../wire/handles.ts";
import { PendingRequest } from "./pending-request.ts";

/** How long `shutdown` waits for a context that is not a child of this process. */
const SHUTDOWN_MS = 10_000;

/** See `Context.request`. */
export async function request(
  context: Context,
  handle: number,
  value: unknown,
  given: WaitOptions = {},
): Promise<unknown> {
  const { router, contextId: dstId } = context;
  const what = `send a request to ${context.name}`;
  takeOption(what, "the handle", handle, handleNumber);
  const options = readOptions(what, given, WAIT_OPTIONS);
  return new Promise((resolve, reject) => {
    const body = encodeValue(value, { limits: router.limits, router });
    const replyTo = new PendingRequest(context, handle, resolve, reject).begin(options);
    router.routeFrame(router.frame(dstId, handle, body, replyTo));
  });
}

/** See `Context.ping`. */
export async function ping(context: Context, options: WaitOptions): Promise<number> {
  const started = process.hrtime();
  const site = callSite(context.ping);
  await request(context, Handle.PING, null, options).catch((error) => {
    throw withCallSite(error, context, site);
  });
  const [seconds, nanoseconds] = process.hrtime(started);
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** See `Context.shutdown`. */
export async function shutdownContext(context: Context, wait: boolean): Promise<void> {
  const { router, contextId: dstId } = context;
  if (context.goneReason !== undefined) return;
  if (!wait) {
    router.route(Message.to(router, { dstId, handle: Handle.SHUTDOWN }, { value: null }));
    return;
  }
  // The only possible answer is a dead message: the context is gone, cannot be reached, or refuses. A hostile
  // or stopped context says nothing.
  await request(context, Handle.SHUTDOWN, null, { timeoutMs: SHUTDOWN_MS }).catch((error) => {
    router.log.debug(`${context.name}: ${error.message}`);
  });
}
