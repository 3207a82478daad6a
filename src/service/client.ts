import { answerLocally, sendPrepared } from "../core/call.ts";
import { callSite, withCallSite } from "../core/call-site.ts";
import type { Context } from "../core/context.ts";
import { Message } from "../core/message.ts";
import { Receiver } from "../core/receiver.ts";
import type { FunctionName } from "../core/router.ts";
import type { ServiceCalls, ServiceClass } from "../core/service-call.ts";
import { awaitWithin, type WaitOptions, watchBounds } from "../core/wait.ts";
import { ChannelError } from "../errors.ts";
import { textOf } from "../wire/thrown.ts";
import { identityOf, requestFrame, type ServiceIdentity } from "./request.ts";
import { servicesOf } from "./router-services.ts";
import { Service } from "./service.ts";

/** What a child must have to take requests: the part this file is in. */
const SERVICES: FunctionName = { module: "mitogen:api", path: [] };

type Caller = (...args: never[]) => unknown;

/** `callService`, `callServiceAsync` and `service` of a context. */
export function serviceCallsOf(context: Context, options: WaitOptions, caller?: Caller): ServiceCalls {
  const calls = {
    callService: (service: ServiceClass | string, method: string, args?: object): Promise<unknown> =>
      callService(context, service, method, args, options, caller ?? calls.callService),
    callServiceAsync: (service: ServiceClass | string, method: string, args?: object): Receiver<unknown> =>
      callServiceAsync(context, service, method, args, options),
    service: (service: ServiceClass): object =>
      new Proxy(Object.freeze({}), {
        get: (_, name) => {
          // A promise that resolves with it asks for `then`; so do others for symbols.
          if (typeof name === "symbol" || name === "then") return undefined;
          const method = (args?: object): Promise<unknown> =>
            callService(context, service, name, args, options, method);
          return method;
        },
      }),
  };
  return calls as unknown as ServiceCalls;
}

async function callService(
  context: Context,
  service: ServiceClass | string,
  method: string,
  args: object | undefined,
  options: WaitOptions,
  caller: Caller,
): Promise<unknown> {
  const { router } = context;
  // Where the call was made, for the error's stack.
  const site = callSite(caller);
  const identity = identify(context, service, method);
  const { contextId: dstId } = context;
  const frame = requestFrame(router, { dstId, replyTo: 0 }, identity, method, args);
  let replyTo = 0;
  let isOver = false;
  try {
    return await awaitWithin<unknown>(
      router.broker,
      options,
      () => describe(context, identity, method),
      (resolve, reject) => {
        if (context.goneReason !== undefined) {
          reject(new ChannelError(context.goneReason));
          return;
        }
        const onReply = (reply: ConstructorParameters<typeof Message>[1]): void => {
          try {
            resolve(new Message(router, reply).decode());
          } catch (error) {
            reject(error);
          }
        };
        replyTo = router.listen(onReply, { isPersistent: false, respondentId: dstId });
        sendPrepared(context, needed(identity), { ...frame, replyTo }, undefined, () => isOver, reject);
      },
      () => {
        isOver = true;
        if (replyTo !== 0) router.unlisten(replyTo);
      },
    );
  } catch (error) {
    throw withCallSite(error, context, site);
  }
}

function callServiceAsync(
  context: Context,
  service: ServiceClass | string,
  method: string,
  args: object | undefined,
  options: WaitOptions,
): Receiver<unknown> {
  const { router, contextId: dstId } = context;
  const identity = identify(context, service, method);
  const frame = requestFrame(router, { dstId, replyTo: 0 }, identity, method, args);
  const receiver = new Receiver<unknown>(router, { persist: false, respondent: context });
  const { handle } = receiver;
  let isOver = false;
  if (!receiver.isClosed) {
    const giveUp = (reason: unknown): void => {
      isOver = true;
      receiver.abort(reason);
    };
    receiver.watchers.add(watchBounds(options, () => describe(context, identity, method), giveUp));
  }
  const onFailed = (error: unknown): void => answerLocally(context, handle, error);
  sendPrepared(context, needed(identity), { ...frame, replyTo: handle }, undefined, () => isOver, onFailed);
  return receiver;
}

/** The name of a service; a class that a context calls on itself is remembered, for its pool need not look for it. */
function identify(context: Context, service: ServiceClass | string, method: string): ServiceIdentity {
  if (typeof method !== "string")
    throw new TypeError(`Cannot call ${textOf(method)} of a service: it is no name`);
  if (typeof service === "string") return { name: service, reference: undefined };
  if (typeof service !== "function" || !(service.prototype instanceof Service)) {
    throw new TypeError(
      `Cannot call ${method} of ${textOf(service).slice(0, 100)}: a service is a subclass of Service, or its name`,
    );
  }
  const type = service as unknown as typeof Service;
  const identity = identityOf(context.router, type);
  if (context.contextId === context.router.contextId) {
    servicesOf(context.router).known.set(identity.name, type);
  }
  return identity;
}

function describe(context: Context, { name }: ServiceIdentity, method: string): string {
  return `call ${method} of service ${name} in ${context.name}`;
}

/** The module that goes ahead of a request; that of a class brings the library along. */
function needed({ reference }: ServiceIdentity): FunctionName {
  return reference ?? SERVICES;
}
