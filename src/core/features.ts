import { setPlainForm } from "../wire/encoder.ts";
import { plainForm } from "../wire/plain-form.ts";
import { bindCalls } from "./bound-calls.ts";
import { Broker } from "./broker.ts";
import { call, callAsync, callNoReply } from "./call.ts";
import { CallChain } from "./call-chain.ts";
import { ping, request, shutdownContext } from "./context-requests.ts";
import { ContextDescription } from "./describe.ts";
import { disconnected, onDisconnect } from "./disconnect.ts";
import { Credits, Window } from "./flow-control.ts";
import { flag, WAIT_OPTIONS } from "./option-types.ts";
import { type OptionTable, readOptions } from "./options.ts";
import { randomHandle } from "./random-handle.ts";
import type { CoreRouter, Features } from "./router.ts";
import type { ServiceClient } from "./service-call.ts";
import { stream } from "./stream.ts";

const SHUTDOWN_OPTIONS: OptionTable<{ wait?: boolean }> = { wait: flag };

/**
 * Lets the contexts and senders of a router do what programs ask of them. In the master always; in a child with the part `mitogen:api`, for a
 * child that only takes calls does without.
 */
export function installFeatures(router: CoreRouter, services: ServiceClient): void {
  router.broker ??= new Broker();
  setPlainForm(plainForm);
  const features: Features = {
    call,
    callAsync,
    callNoReply,
    stream,
    bindCalls,
    request,
    ping,
    disconnected,
    onDisconnect,
    shutdownContext,
    services,
    describe: (context) => new ContextDescription(context),
    bounds: (what, options) => readOptions(what, options, WAIT_OPTIONS),
    waits: (options) => readOptions("shut down a context", options, SHUTDOWN_OPTIONS).wait ?? true,
    newChain: (context) => new CallChain(context),
    newHandle: ({ respondent }) => (respondent === undefined ? randomHandle(router) : undefined),
    newWindow: (contextId) => new Window(router, contextId),
    newCredits: () => new Credits(router),
  };
  router.features = features;
}
