import type { Context } from "../../core/context.ts";
import type { Message } from "../../core/message.ts";
import type { CoreRouter } from "../../core/router.ts";
import { ProtocolError } from "../../errors.ts";
import { getLogger } from "../../logging/log.ts";
import { Handle } from "../../wire/handles.ts";
import { messageOf } from "../../wire/values/thrown.ts";
import { API, FLEET, MITOGEN } from "../builtins.ts";
import type { ModuleRules } from "../compile/module-rules.ts";
import { type ImportKind, PROVIDED } from "../module-record.ts";
import type { Destination } from "../resolve/resolve.ts";
import { describeRequest, type ModuleRequest, parseRequest, refusalCode } from "./module-request.ts";
import { type NotedRequest, RequestLog } from "./request-log.ts";
import { decideRequest, type Refusal, type Resolve, saidSo } from "./serve-policy.ts";
import type { ServedContext, ServedContexts } from "./served-context.ts";

/** Sends the part of a module's graph that a context lacks. */
export type Push = (contextId: number, target: ServedContext, id: string) => Promise<void>;

const log = getLogger("mitogen.responder");

/** The most requests of one context that may wait. A module may import hundreds of others at once. */
const MAX_PENDING_REQUESTS = 1_000;
/** The most requests of all contexts together. */
const MAX_ALL_PENDING_REQUESTS = 65_536;

/**
 * Answers requests of contexts for specifiers that their maps do not name: docs/protocol.md#get_module. Everything
 * in a request is hostile until checked.
 */
export class RequestDesk {
  requestCount = 0;
  refusedCount = 0;
  /** Requests that were answered before, and came again. */
  duplicateCount = 0;
  readonly #targets: ServedContexts;
  readonly #rules: ModuleRules;
  readonly #resolve: Resolve;
  readonly #push: Push;
  #pendingCount = 0;
  readonly #refusals: RequestLog = new RequestLog("Refused a module to");
  readonly #duplicates: RequestLog = new RequestLog("Answered a repeated request of");

  constructor(router: CoreRouter, targets: ServedContexts, rules: ModuleRules, resolve: Resolve, push: Push) {
    this.#targets = targets;
    this.#rules = rules;
    this.#resolve = resolve;
    this.#push = push;
    router.addHandler((message) => void this.answer(message), { handle: Handle.GET_MODULE, service: true });
  }

  /** The last refused requests. */
  get refusals(): readonly NotedRequest[] {
    return this.#refusals.noted;
  }

  /** Call this when the context is gone. */
  forget(contextId: number): void {
    this.#refusals.end(contextId);
    this.#duplicates.end(contextId);
  }

  private async answer(message: Message): Promise<void> {
    this.requestCount += 1;
    let kind: ImportKind = "import";
    try {
      const request = parseRequest(message);
      kind = request.kind;
      const target = this.#targets.get(message.srcId);
      if (target === undefined) throw new ProtocolError(`context ${message.srcId} is not served modules`);
      const found = this.decide(message.context, target, request);
      if ("refused" in found && found.error !== undefined) {
        this.refusedCount += 1;
        log.debug(`No module for ${message.context.name}: ${found.error.message}`);
        message.reply([found.error.message, found.error.code]);
        return;
      }
      if ("refused" in found) {
        this.refuse(message, `${describeRequest(request)}: ${found.refused}`, refusalCode(kind), found.id);
        return;
      }
      if (target.wasAnswered(request)) this.noteDuplicate(message, request);
      const id = neededId(found);
      if (id !== undefined) await this.pushRequested(message.srcId, target, id);
      target.noteAnswer(request);
      message.reply(answerText(found));
    } catch (error) {
      this.refuse(message, messageOf(error), refusalCode(kind, error));
    }
  }

  private decide(context: Context, target: ServedContext, request: ModuleRequest): Destination | Refusal {
    if (target.pendingCount >= MAX_PENDING_REQUESTS || this.#pendingCount >= MAX_ALL_PENDING_REQUESTS)
      return { refused: "too many requests at once" };
    const { parentId } = request;
    if (request.specifier === "" && (parentId === API || parentId === FLEET)) return { id: parentId };
    if (request.specifier !== "") return decideRequest(request, target, this.#rules, this.#resolve);
    // The request names a module by its id. Either a context above called a function of the module but could
    // not push it, or a module that the context was sent names it.
    let isNamed = this.#rules.isNamed(request.parentId);
    for (let at: Context | undefined = context; at !== undefined && !isNamed; at = at.via) {
      isNamed = this.#targets.peek(at.contextId)?.names(request.parentId) === true;
    }
    if (!isNamed) return { refused: "no module sent to this context, or to one above it, names it" };
    const denial = this.#rules.denial(request.parentId);
    return denial === undefined
      ? { id: request.parentId }
      : { refused: saidSo(denial), id: request.parentId };
  }

  /** Counts the request while its modules are read. {@link decide} bounds the number of such requests. */
  private async pushRequested(contextId: number, target: ServedContext, id: string): Promise<void> {
    target.pendingCount += 1;
    this.#pendingCount += 1;
    try {
      await this.#push(contextId, target, id);
    } finally {
      target.pendingCount -= 1;
      this.#pendingCount -= 1;
    }
  }

  private refuse(message: Message, reason: string, code: string, id?: string): void {
    this.refusedCount += 1;
    this.#refusals.add(message.srcId, message.context.name, reason, id);
    message.reply([reason, code]);
  }

  private noteDuplicate(message: Message, { specifier, parentId }: ModuleRequest): void {
    this.duplicateCount += 1;
    this.#duplicates.add(message.srcId, message.context.name, `'${specifier}' imported from ${parentId}`);
  }
}

/** Returns the id of the module to send before the answer. Contexts have all builtins, but perhaps not this library. */
function neededId(found: Destination): string | undefined {
  if ("builtin" in found) return found.builtin === MITOGEN ? API : undefined;
  return "id" in found ? found.id : undefined;
}

function answerText(found: Destination): string {
  if ("provided" in found) return PROVIDED + found.provided;
  return "id" in found ? found.id : found.builtin;
}
