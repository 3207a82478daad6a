import { Credits, Window } from "../../core/flow-control.ts";
import type { Message } from "../../core/message.ts";
import type { CoreRouter } from "../../core/router.ts";
import { getLogger } from "../../logging/log.ts";
import { checkMessageParts } from "../../options/message-parts.ts";
import { randomHandle } from "../../routing/random-handle.ts";
import { Broker } from "../../waiting/broker.ts";
import { setPlainForm } from "../../wire/cbor/encoder.ts";
import { Handle } from "../../wire/handles.ts";
import { plainForm } from "../../wire/values/plain-form.ts";
import { addContextCalls } from "./context-calls.ts";
import { shutdownContext } from "./context-requests.ts";
import type { ServiceClient } from "./service-call.ts";

const log = getLogger("mitogen.router");

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
    dropReply,
    newWindow: (contextId) => new Window(router, contextId),
    newCredits: () => new Credits(router),
  };
}

/** Handlers of the library answer every message, whether an answer is wanted or not. */
function dropReply(message: Message): void {
  if (message.handle <= Handle.LAST_RESERVED) return;
  const { srcId, handle, isDead } = message;
  const why = isDead ? "is a dead message" : "wants no answer: its replyTo is 0";
  log.debug(`Dropped reply to context ${srcId}: its message to handle ${handle} ${why}`);
}
