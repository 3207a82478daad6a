import { ContextDescription } from "../../core/describe.ts";
import { Credits, Window } from "../../core/flow-control.ts";
import type { CoreRouter, Features } from "../../core/router.ts";
import { flag, WAIT_OPTIONS } from "../../options/option-types.ts";
import { type OptionTable, readOptions } from "../../options/options.ts";
import { randomHandle } from "../../routing/random-handle.ts";
import { Broker } from "../../waiting/broker.ts";
import { setPlainForm } from "../../wire/cbor/encoder.ts";
import { plainForm } from "../../wire/values/plain-form.ts";
import { bindCalls } from "./bound-calls.ts";
import { call, callAsync, callNoReply } from "./call.ts";
import { CallChain } from "./call-chain.ts";
import { ping, request, shutdownContext } from "./context-requests.ts";
import { disconnected, onDisconnect } from "./disconnect.ts";
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
