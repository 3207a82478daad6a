import { requestAsync } from "../calls/caller/async-request.ts";
import { sendPrepared } from "../calls/caller/outbox.ts";
import { PendingRequest } from "../calls/caller/pending-request.ts";
import type { ServiceCalls, ServiceClass } from "../calls/caller/service-call.ts";
import { callSite, withCallSite } from "../core/call-site.ts";
import type { Context } from "../core/context.ts";
import type { Receiver } from "../core/receiver.ts";
import { apiRef } from "../functions/api-ref.ts";
import type { FunctionName } from "../functions/function-name.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import { Handle } from "../wire/handles.ts";
import { textOf } from "../wire/values/thrown.ts";
import { encodeRequest, identityOf, type ServiceIdentity } from "./request.ts";
import { servicesOf } from "./router-services.ts";
import { Service } from "./service.ts";

/** The library part that a child needs to take requests. */
const SERVICES: FunctionName = apiRef();

type Caller = (...args: never[]) => unknown;

/** Returns the methods `callService`, `callServiceAsync` and `service` of a context. */
export function serviceCallsOf(context: Context, options: WaitOptions, caller?: Caller): ServiceCalls {
  const calls = {
    callService: (service: ServiceClass | string, method: string, args?: object): Promise<unknown> =>
      callService(context, service, method, args, options, caller ?? calls.callService),
    callServiceAsync: (service: ServiceClass | string, method: string, args?: object): Receiver<unknown> =>
      callServiceAsync(context, service, method, args, options),
    service: (service: ServiceClass): object =>
      new Proxy(Object.freeze({}), {
        get: (_, name) => {
          // A promise that resolves with this object reads `then`. Other code, such as console.log, reads symbols.
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
  // The call site, for the error's stack.
  const site = callSite(caller);
  const identity = identify(context, service, method);
  const body = encodeRequest(router, identity, method, args);
  return new Promise((resolve, reject) => {
    const pending = new PendingServiceCall(
      context,
      describe(context, identity, method),
      site,
      resolve,
      reject,
    );
    try {
      const replyTo = pending.begin(options);
      const frame = router.frame(context.contextId, Handle.CALL_SERVICE, body, replyTo);
      sendPrepared(context, needed(identity), frame, undefined, pending);
    } catch (error) {
      throw withCallSite(error, context, site);
    }
  });
}

class PendingServiceCall extends PendingRequest {
  private readonly subject: string;
  private readonly site: () => string;

  constructor(
    context: Context,
    subject: string,
    site: () => string,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super(context, Handle.CALL_SERVICE, resolve, reject);
    this.subject = subject;
    this.site = site;
  }

  override fail(error: unknown): void {
    super.fail(withCallSite(error, this.context, this.site));
  }

  protected override what(): string {
    return this.subject;
  }
}

function callServiceAsync(
  context: Context,
  service: ServiceClass | string,
  method: string,
  args: object | undefined,
  options: WaitOptions,
): Receiver<unknown> {
  const identity = identify(context, service, method);
  return requestAsync(context, {
    handle: Handle.CALL_SERVICE,
    needed: needed(identity),
    body: encodeRequest(context.router, identity, method, args),
    options,
    what: () => describe(context, identity, method),
  });
}

/**
 * Returns the name of a service. If a context calls a class on itself, remembers the class, so that the pool need
 * not load it.
 */
function identify(context: Context, service: ServiceClass | string, method: string): ServiceIdentity {
  if (typeof method !== "string")
    throw new TypeError(`Cannot call ${textOf(method)} of a service: it is not a name`);
  if (typeof service === "string") return { name: service, reference: undefined };
  if (typeof service !== "function" || !(service.prototype instanceof Service)) {
    throw new TypeError(
      `Cannot call ${method} of ${textOf(service).slice(0, 100)}: a service must be a subclass of Service, or the name of a service`,
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

/** Returns the module that is sent before a request. The module of a class brings the library part along. */
function needed({ reference }: ServiceIdentity): FunctionName {
  return reference ?? SERVICES;
}
