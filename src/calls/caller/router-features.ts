import { Credits, Window } from "../../core/flow-control.ts";
import type { CoreRouter } from "../../core/router.ts";
import { checkMessageParts } from "../../options/message-parts.ts";
import { randomHandle } from "../../routing/random-handle.ts";
import { Broker } from "../../waiting/broker.ts";
import { setPlainForm } from "../../wire/cbor/encoder.ts";
import { plainForm } from "../../wire/values/plain-form.ts";
import { addContextCalls } from "./context-calls.ts";
import { shutdownContext } from "./context-requests.ts";
import type { ServiceClient } from "./service-call.ts";

/**
 * Adds to a router the functions of contexts and senders that programs use. The master always does this. A
 * child does it with the part `mitogen:api`, because a child that only takes calls does not need them.
 */
export function installFeatures(router: CoreRouter, services: ServiceClient): void {
  router.broker ??= new Broker();
  setPlainForm(plainForm);
  addContextCalls();
  router.features = {
    shutdownContext,
    services,
    newHandle: ({ respondent }) => (respondent === undefined ? randomHandle(router) : undefined),
    checkMessage: checkMessageParts,
    newWindow: (contextId) => new Window(router, contextId),
    newCredits: () => new Credits(router),
  };
}
