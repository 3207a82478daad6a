import { Credits, Window } from "../../core/flow-control.ts";
import type { CoreRouter } from "../../core/router.ts";
import { randomHandle } from "../../routing/random-handle.ts";
import { Broker } from "../../waiting/broker.ts";
import { setPlainForm } from "../../wire/cbor/encoder.ts";
import { plainForm } from "../../wire/values/plain-form.ts";
import { addContextCalls } from "./context-calls.ts";
import { shutdownContext } from "./context-requests.ts";
import type { ServiceClient } from "./service-call.ts";

/**
 * Lets the contexts and senders of a router do what programs ask of them. In the master always; in a child with the part `mitogen:api`, for a
 * child that only takes calls does without.
 */
export function installFeatures(router: CoreRouter, services: ServiceClient): void {
  router.broker ??= new Broker();
  setPlainForm(plainForm);
  addContextCalls();
  router.features = {
    shutdownContext,
    services,
    newHandle: ({ respondent }) => (respondent === undefined ? randomHandle(router) : undefined),
    newWindow: (contextId) => new Window(router, contextId),
    newCredits: () => new Credits(router),
  };
}
