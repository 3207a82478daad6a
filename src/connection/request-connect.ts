import type { Context } from "../core/context.ts";
import type { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import { ProtocolError, TimeoutError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { secret } from "../options/option-types.ts";
import { misuse, show, takeOption } from "../options/options.ts";
import { oneLine } from "../text/harmless.ts";
import { newAbortEnd } from "../waiting/abort-end.ts";
import { onAbort } from "../waiting/wait.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { Handle } from "../wire/handles.ts";
import { hide } from "../wire/values/error-value.ts";
import { Secret } from "../wire/values/secret.ts";
import { messageOf } from "../wire/values/thrown.ts";
import type { ChildIdentity } from "./children/children.ts";
import type { ConnectRequest } from "./children/parent-role.ts";
import { cancelledBy } from "./children/running-connect.ts";
import { connectErrorOf } from "./failures/connect-error-record.ts";
import { type ConnectOptions, DEFAULT_CONNECT_MS } from "./methods/method.ts";
import { Countdown } from "./prompts/countdown.ts";
import type { ProvisionProgress } from "./runtime/plan.ts";
import { readFacts, type StartedFacts } from "./started-facts.ts";

/**
 * How much longer than `timeoutMs` a context may take to say how a connect ended: as long again, within these
 * bounds. The context keeps the time itself, and its error says more than ours. A hostile or stopped context
 * says nothing.
 */
const MIN_ANSWER_GRACE_MS = 1000;
const MAX_ANSWER_GRACE_MS = 5000;

const log = getLogger("mitogen.connect");

/** The handle at which a hop may ask for a password or another answer, and why it got none. */
interface PasswordOffer {
  readonly handle: number;
  failure: { readonly cause: unknown } | undefined;
}

/**
 * Asks another context, or the broker thread of this one, to start a context. Passwords, and answers to other
 * questions, stay in this process until the tool asks for them. The answer arrives after the route. `mayProvision` says
 * whether the target may get a node.
 */
export async function requestConnect(
  router: CoreRouter,
  via: Context | undefined,
  methodName: string,
  options: ConnectOptions,
  identity: ChildIdentity,
  mayProvision: boolean,
): Promise<StartedFacts> {
  const parent = via ?? router.myself();
  const {
    via: _,
    password,
    answers,
    onProgress,
    signal,
    ...plain
  } = options as ConnectOptions & {
    password?: unknown;
    answers?: Readonly<Record<string, unknown>>;
  };
  checkTravel(methodName, plain);
  const wholeMs = options.timeoutMs || DEFAULT_CONNECT_MS;
  const timeoutMs = wholeMs + Math.min(MAX_ANSWER_GRACE_MS, Math.max(MIN_ANSWER_GRACE_MS, wholeMs));
  const end = newAbortEnd();
  const unwatch = signal && onAbort(signal, () => end.abort(cancelledBy(methodName, signal)));
  const time = new Countdown(timeoutMs, () => end.abort(new TimeoutError("Cannot connect: no answer")));
  const offer = password === undefined ? undefined : offerPassword(router, parent, password, time);
  const others = Object.entries(answers ?? {}).map(
    ([question, answer]) => [question, offerPassword(router, parent, answer, time)] as const,
  );
  const progressHandle = mayProvision
    ? takeProgress(router, parent, methodName, timeoutMs, time, onProgress)
    : 0;
  try {
    const handles = others.map(([question, { handle }]) => [question, handle]);
    const request: ConnectRequest = [
      methodName,
      answers === undefined ? plain : { ...plain, answers: Object.fromEntries(handles) },
      identity,
      offer?.handle ?? 0,
      ...(mayProvision ? ([progressHandle] as const) : ([] as const)),
    ];
    const answer: unknown = await parent
      .request(Handle.CONNECT_CHILD, request, { signal: end.signal })
      .catch((error) => unanswered(parent, methodName, timeoutMs, error));
    // The answer comes from a hop, so it may hold anything.
    const { failed, connected } = Object(answer) as Record<string, unknown>;
    if (failed !== undefined) {
      const error = connectErrorOf(failed, via?.name);
      // The original error stays in this process. The hop was only told its message.
      const failure = [offer, ...others.map(([, each]) => each)].find((each) => each?.failure)?.failure;
      if (failure !== undefined) hide(error, "cause", failure.cause);
      throw error;
    }
    if (Array.isArray(connected)) return readFacts(connected);
    throw new ProtocolError(
      `Cannot connect with ${methodName}() via ${parent.name}: its answer reports neither a context nor an error`,
    );
  } finally {
    time.stop();
    unwatch?.();
    if (offer !== undefined) router.unlisten(offer.handle);
    for (const [, { handle }] of others) router.unlisten(handle);
    if (mayProvision) router.unlisten(progressHandle);
  }
}

/**
 * Opens a handle at which `parent` reports that a runtime is on its way. That may take longer than a connect
 * does.
 */
function takeProgress(
  router: CoreRouter,
  parent: Context,
  method: string,
  timeoutMs: number,
  time: Countdown,
  onProgress: ConnectOptions["onProgress"],
): number {
  return router.addHandler(
    (message) => {
      time.restart(timeoutMs);
      const [sentBytes, totalBytes] = message.decode() as unknown[];
      if (typeof sentBytes !== "number" || typeof totalBytes !== "number") return;
      tellProgress(onProgress, { method, sentBytes, totalBytes });
    },
    { respondent: parent, service: true },
  );
}

/** Opens a handle at which only `parent` may ask for the password when the prompt appears. */
function offerPassword(
  router: CoreRouter,
  parent: Context,
  password: unknown,
  time: Countdown,
): PasswordOffer {
  const answer = async (message: Message): Promise<void> => {
    const given: unknown = typeof password === "function" ? await password() : password;
    const taken = takeOption("type the password", "the password", given, secret);
    message.reply(taken instanceof Secret ? taken : new Secret(taken));
  };
  const handle = router.addHandler(
    (message) => {
      time.pause();
      answer(message)
        .catch((cause) => {
          offer.failure = { cause };
          router.answerDead(message, oneLine(messageOf(cause)));
        })
        .finally(() => time.resume());
    },
    { respondent: parent, service: true },
  );
  const offer: PasswordOffer = { handle, failure: undefined };
  return offer;
}

/** Calls the program's `onProgress`. An error that it throws is only logged. */
export function tellProgress(onProgress: ConnectOptions["onProgress"], progress: ProvisionProgress): void {
  try {
    onProgress?.(progress);
  } catch (error) {
    log.warning(`onProgress threw an error: ${messageOf(error)}`);
  }
}

/** Throws the error for a connect request that got no answer, or a dead message. */
function unanswered(parent: Context, method: string, timeoutMs: number, error: Error): never {
  const place = `Cannot connect with ${method}() via ${parent.name}`;
  if (error instanceof TimeoutError) {
    const hint = "check whether that context answers ping()";
    const known = { stage: "spawn", argv: [], exitCode: null, signal: null, stderr: "" } as const;
    throw connectErrorOf([
      error.name,
      `${place}: no answer within ${timeoutMs} ms; ${hint}`,
      { ...known, method, durationMs: timeoutMs, hint },
    ]);
  }
  // A context that does not know the request cannot have children. It is a thread, and only the context that
  // started it knew that.
  if (!error.message.endsWith(": no such handle")) throw error;
  throw new TypeError(
    `${place}: it is a thread or a program that has connected, and cannot have children; use the context it belongs to`,
  );
}

/** Throws if an option cannot travel to the context that will check it. */
function checkTravel(method: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options)) {
    try {
      encodeValue(value);
    } catch {
      const message = `Cannot connect with ${method}(): ${name} cannot be sent to another context, got ${show(value)}`;
      throw misuse("ERR_INVALID_ARG_TYPE", message);
    }
  }
}
