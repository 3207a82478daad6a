import { hostname, userInfo } from "node:os";
import { newAbortEnd } from "../core/abort-end.ts";
import { callSite, placedAt } from "../core/call-site.ts";
import type { Context } from "../core/context.ts";
import type { ConnectionFacts } from "../core/describe.ts";
import { oneLine } from "../core/harmless.ts";
import { getLogger } from "../core/log.ts";
import type { Message } from "../core/message.ts";
import { secret } from "../core/option-types.ts";
import { misuse, show, takeOption } from "../core/options.ts";
import type { CoreRouter } from "../core/router.ts";
import { CancelledError, ProtocolError, StreamError, TimeoutError } from "../errors.ts";
import { encodeValue } from "../wire/encoder.ts";
import { hide } from "../wire/error-value.ts";
import { Handle } from "../wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../wire/references.ts";
import { Secret } from "../wire/secret.ts";
import { messageOf } from "../wire/thrown.ts";
import type { ChildIdentity, StartedChild } from "./children.ts";
import { connectErrorOf, describeFailure } from "./connect-error.ts";
import { Countdown } from "./countdown.ts";
import {
  type ConnectionMethod,
  type ConnectOptions,
  DEFAULT_CONNECT_MS,
  type LibraryMethod,
  readConnectOptions,
} from "./method.ts";
import type { ConnectRequest } from "./parent-role.ts";
import type { ProvisionProgress } from "./runtime/plan.ts";
import { Semaphore } from "./semaphore.ts";

/** What differs between the router of the program and that of a context. */
export interface ConnectorHost {
  /** How many connects may be under way at once. */
  readonly concurrency: number;
  /** The least important level that a new context forwards: a `LogLevel`. */
  logLevel(): number;
  isShutDown(): boolean;
  /** Loads what it takes to start a child of this process, for a connect with the method of that name; undefined once that is there. */
  load?(methodName: string): Promise<void> | undefined;
  /** What the options of a method may be, where that is known; a context asks its broker thread, or another context, which checks them. */
  tableOf?(method: string | ConnectionMethod): LibraryMethod["options"] | undefined;
  /** An id for a child of the context `parentId`, which from then on may be asked to start it. */
  allocateId(parentId: number): number | Promise<number>;
  /** The connect is over, either way: from now on nobody can claim the id. */
  releaseId?(contextId: number): void;
  /** Starts a child of this process; absent in a context, whose broker thread is asked like any other context. */
  startHere?(
    method: string | ConnectionMethod,
    options: ConnectOptions,
    identity: ChildIdentity,
  ): Promise<StartedFacts>;
  /** Whether a target behind a context may be brought a node, where that is known. */
  mayProvision?(options: ConnectOptions): boolean;
  /** Watches a connect; `stack` is where it was asked for. */
  during?(connect: Promise<Context>, options: ConnectOptions, stack: () => string): Promise<Context>;
  /** How a context was made, before anybody has it. */
  onStarted?(context: Context, options: ConnectOptions, facts: MethodFacts): void;
}

/** What a new context, or the one that started it, says of it: claims. */
export type StartedFacts = Pick<ConnectionFacts, "pid" | "platform" | "arch" | "argv">;
export type MethodFacts = StartedFacts & Pick<ConnectionFacts, "method" | "nodeVersion">;

/**
 * How much longer than `timeoutMs` a context may take to tell how a connect that it was asked for has ended: as long again, within these
 * bounds. It keeps the time itself, and its error says more; one that is hostile or stopped says nothing.
 */
const MIN_ANSWER_GRACE_MS = 1000;
const MAX_ANSWER_GRACE_MS = 5000;
/** How long a context may take to tell that a child of its own has ended. It needs about three seconds at most. */
const END_CHILD_MS = 10_000;

const log = getLogger("mitogen.connect");

/** Of what a context tells of a child that it has started: words of the command, characters of each and of the other facts. */
const MAX_ARGV = 1000;
const MAX_FACT_CHARACTERS = 4096;

/** Where a hop may ask for a password, and why it got none. */
interface PasswordOffer {
  readonly handle: number;
  failure: { readonly cause: unknown } | undefined;
}

/** A connect under way. */
interface Pending {
  readonly via: Context | undefined;
  context?: Context;
  nodeVersion: string;
}

/**
 * Starts contexts for a router, the program's or that of a context: checks what is wanted, takes an id, and has this process or another
 * one do it.
 */
export class Connector {
  readonly #router: CoreRouter;
  readonly #host: ConnectorHost;
  readonly #connects: Semaphore;
  readonly #pending: Map<number, Pending> = new Map();
  readonly #started: Map<number, Context> = new Map();
  readonly #threads: Set<number> = new Set();

  constructor(router: CoreRouter, host: ConnectorHost) {
    this.#router = router;
    this.#host = host;
    this.#connects = new Semaphore(host.concurrency);
    const forget = router.onContextsLost;
    router.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const id of contextIds) {
        this.#started.delete(id);
        this.#threads.delete(id);
      }
    };
  }

  /** The contexts that were started through here and can be reached. */
  get started(): ReadonlyMap<number, Context> {
    return this.#started;
  }

  /** Whether it is a thread, which can have no children. */
  isThread(contextId: number): boolean {
    return this.#threads.has(contextId);
  }

  /** The connect under way that an id was taken for. */
  pending(contextId: number): { readonly via: Context | undefined } | undefined {
    return this.#pending.get(contextId);
  }

  /** To be called when the route to a context comes, before anything of that context is delivered. */
  noteStarted(context: Context, nodeVersion: string): void {
    const pending = this.#pending.get(context.contextId);
    if (pending === undefined) return;
    pending.context = context;
    pending.nodeVersion = nodeVersion;
    this.#started.set(context.contextId, context);
  }

  /** `method` is a name of the table, which every context has, or a method of the program's own. */
  async start(method: string | ConnectionMethod, options: ConnectOptions): Promise<Context> {
    const methodName = typeof method === "string" ? method : method.name;
    // The router's method is between here and the caller.
    const site = callSite(this.start, 1);
    this.#router.broker.hold();
    try {
      const loading = this.#host.load?.(methodName);
      // The caller may use the object again while we wait.
      const given = loading !== undefined && isObject(options) ? { ...options } : options;
      if (loading !== undefined) await loading;
      const checked = readConnectOptions(methodName, given, this.#host.tableOf?.(method));
      return await this.#connects.run(() => {
        const connect = this.startOne(method, methodName, checked);
        return this.#host.during?.(connect, checked, site) ?? connect;
      });
    } catch (error) {
      throw placedAt(withSummary(error), site());
    } finally {
      this.#router.broker.release();
    }
  }

  private async startOne(
    method: string | ConnectionMethod,
    methodName: string,
    options: ConnectOptions,
  ): Promise<Context> {
    const { contextId: ownId } = this.#router;
    if (this.#host.isShutDown() || this.#router.broker.isShutDown) {
      throw new CancelledError(`Cannot connect with ${methodName}(): the router has been shut down`);
    }
    const via = options.via?.contextId === ownId ? undefined : options.via;
    if (via !== undefined && this.#threads.has(via.contextId)) {
      throw new TypeError(
        `Cannot connect with ${methodName}() via ${via.name}: a thread can have no children; use the context it belongs to`,
      );
    }
    const allocated = this.#host.allocateId(via?.contextId ?? ownId);
    // The process of the program's own is started before this returns.
    const contextId = typeof allocated === "number" ? allocated : await allocated;
    const pending: Pending = { via, nodeVersion: "" };
    this.#pending.set(contextId, pending);
    const remoteName = options.remoteName ?? defaultRemoteName();
    const identity = { contextId, remoteName, logLevel: this.#host.logLevel() };
    if (method === "thread") this.#threads.add(contextId);
    const forget = (): void => {
      this.#pending.delete(contextId);
      this.#host.releaseId?.(contextId);
    };
    const { startHere } = this.#host;
    const isHere = via === undefined && startHere !== undefined;
    let cleared: Promise<void> | undefined;
    try {
      const facts = await (isHere
        ? startHere(method, options, identity)
        : this.request(via, methodName, options, identity));
      const context = pending.context ?? this.#router.contextById(contextId);
      this.#host.onStarted?.(context, options, {
        method: methodName,
        nodeVersion: pending.nodeVersion,
        ...facts,
      });
      return context;
    } catch (error) {
      this.#threads.delete(contextId);
      // It may be there all the same, or come late: it would be nobody's. Until it is gone the id stays taken.
      if (!isHere && (error instanceof TimeoutError || pending.context !== undefined)) {
        cleared = this.endBehind(via ?? this.#router.myself(), contextId);
      }
      throw error;
    } finally {
      if (cleared === undefined) forget();
      else void cleared.then(forget);
    }
  }

  /**
   * Has `parent` end a child of its own, or give up the connect for one. If it does not say in time that this is done, the child and all behind
   * it are given up here: who waits for them is told. Never rejects.
   */
  async endBehind(parent: Context, contextId: number): Promise<void> {
    const router = this.#router;
    const name = this.#started.get(contextId)?.name ?? `context.${contextId}`;
    let reason = `${name}: was shut down`;
    try {
      await parent.request(Handle.END_CHILD, [contextId], { timeoutMs: END_CHILD_MS });
    } catch (error) {
      // Else it is gone itself.
      if (error instanceof TimeoutError) {
        reason = `${name}: was given up, ${parent.name} did not tell within ${END_CHILD_MS} ms that it has ended`;
        log.warning(reason);
      }
    }
    if (router.peerOf(contextId) === undefined && !this.#started.has(contextId)) return;
    const lost = new Set([contextId, ...this.#started.keys(), ...router.routedIds.keys()]);
    const isBehind = (id: number): boolean => id === contextId || router.isAbove?.(contextId, id) === true;
    router.delRoutes([...lost].filter(isBehind), reason);
  }

  /** Has another context, or the broker thread of this one, start it. The answer comes behind the route. */
  private async request(
    via: Context | undefined,
    methodName: string,
    options: ConnectOptions,
    identity: ChildIdentity,
  ): Promise<StartedFacts> {
    const parent = via ?? this.#router.myself();
    const { via: _, password, onProgress, ...plain } = options as ConnectOptions & { password?: unknown };
    checkTravel(methodName, plain);
    const wholeMs = options.timeoutMs || DEFAULT_CONNECT_MS;
    const timeoutMs = wholeMs + Math.min(MAX_ANSWER_GRACE_MS, Math.max(MIN_ANSWER_GRACE_MS, wholeMs));
    const end = newAbortEnd();
    const time = new Countdown(timeoutMs, () => end.abort(new TimeoutError("Cannot connect: no answer")));
    const offer = password === undefined ? undefined : this.offerPassword(parent, password, time);
    const mayProvision = methodName !== "thread" && this.#host.mayProvision?.(options) !== false;
    const progressHandle = mayProvision
      ? this.takeProgress(parent, methodName, timeoutMs, time, onProgress)
      : 0;
    try {
      const request: ConnectRequest = [
        methodName,
        plain,
        identity,
        offer?.handle ?? 0,
        ...(mayProvision ? ([progressHandle] as const) : ([] as const)),
      ];
      const answer: unknown = await parent
        .request(Handle.CONNECT_CHILD, request, { signal: end.signal })
        .catch((error) => unanswered(parent, methodName, timeoutMs, error));
      // A hop's word: it may be anything.
      const { failed, connected } = Object(answer) as Record<string, unknown>;
      if (failed !== undefined) {
        const error = connectErrorOf(failed, via?.name);
        // What has failed here stays here: the hop has only been told the message.
        if (offer?.failure !== undefined) hide(error, "cause", offer.failure.cause);
        throw error;
      }
      if (Array.isArray(connected)) return readFacts(connected);
      throw new ProtocolError(
        `Cannot connect with ${methodName}() via ${parent.name}: its answer says neither that it has, nor why it has not`,
      );
    } finally {
      time.stop();
      if (offer !== undefined) this.#router.unlisten(offer.handle);
      if (mayProvision) this.#router.unlisten(progressHandle);
    }
  }

  /** A handle at which `parent` tells that a runtime is on its way, which may take longer than a connect does. */
  private takeProgress(
    parent: Context,
    method: string,
    timeoutMs: number,
    time: Countdown,
    onProgress: ConnectOptions["onProgress"],
  ): number {
    return this.#router.addHandler(
      (message) => {
        time.restart(timeoutMs);
        const [sentBytes, totalBytes] = message.decode() as unknown[];
        if (typeof sentBytes !== "number" || typeof totalBytes !== "number") return;
        tellProgress(onProgress, { method, sentBytes, totalBytes });
      },
      { respondent: parent, service: true },
    );
  }

  /** A handle at which `parent`, and nobody else, may ask for the password when its prompt appears. */
  private offerPassword(parent: Context, password: unknown, time: Countdown): PasswordOffer {
    const answer = async (message: Message): Promise<void> => {
      const given: unknown = typeof password === "function" ? await password() : password;
      const taken = takeOption("type the password", "the password", given, secret);
      message.reply(taken instanceof Secret ? taken : new Secret(taken));
    };
    const handle = this.#router.addHandler(
      (message) => {
        time.hold();
        answer(message)
          .catch((cause) => {
            offer.failure = { cause };
            this.#router.answerDead(message, oneLine(messageOf(cause)));
          })
          .finally(() => time.release());
      },
      { respondent: parent, service: true },
    );
    const offer: PasswordOffer = { handle, failure: undefined };
    return offer;
  }
}

/** Every failed connect has one; what has no details has said all in its message. */
function withSummary(error: unknown): unknown {
  const isFailure = error instanceof StreamError || error instanceof TimeoutError;
  return isFailure && error.summary === undefined
    ? describeFailure(error, { summary: error.message })
    : error;
}

/** The name of a context started from `via`. Names travel, and are part of every log line: the end of a long one tells most. */
export function nameBelow(via: Context | undefined, name: string): string {
  // A name that a context has announced is its word.
  const full = oneLine(via === undefined ? name : `${via.name}.${name}`, "?");
  return full.length < MAX_CONTEXT_NAME ? full : `…${full.slice(-(MAX_CONTEXT_NAME - 2))}`;
}

export function factsOf({ ready: { pid, platform, arch }, argv }: StartedChild): StartedFacts {
  return { pid, platform, arch, argv };
}

/** What the program does with that fails nothing here. */
export function tellProgress(onProgress: ConnectOptions["onProgress"], progress: ProvisionProgress): void {
  try {
    onProgress?.(progress);
  } catch (error) {
    log.warning(`onProgress has thrown: ${messageOf(error)}`);
  }
}

/** What it means that a request to connect got no answer, or a dead one. */
function unanswered(parent: Context, method: string, timeoutMs: number, error: Error): never {
  const place = `Cannot connect with ${method}() via ${parent.name}`;
  if (error instanceof TimeoutError) {
    const hint = "see whether that context answers to ping()";
    const known = { stage: "spawn", argv: [], exitCode: null, signal: null, stderr: "" } as const;
    throw connectErrorOf([
      error.name,
      `${place}: no answer within ${timeoutMs} ms; ${hint}`,
      { ...known, method, durationMs: timeoutMs, hint },
    ]);
  }
  // A context that does not know the request is none that can have children: a thread, which only the one who started it knows to be one.
  if (!error.message.endsWith(": no such handle")) throw error;
  throw new TypeError(
    `${place}: it can have no children, being a thread or a program that has connected; use the context it belongs to`,
  );
}

/** [pid, platform, architecture, argv] of a child of another context: claims, of which anything may be wrong. */
function readFacts([pid, platform, arch, argv]: readonly unknown[]): StartedFacts {
  return {
    pid: typeof pid === "number" ? pid : Number.NaN,
    platform: fact(platform),
    arch: fact(arch),
    argv: Array.isArray(argv) ? argv.slice(0, MAX_ARGV).map(fact) : [],
  };
}

function fact(claim: unknown): string {
  return typeof claim === "string" ? claim.slice(0, MAX_FACT_CHARACTERS) : "unknown";
}

/** An option that only the other side can check has to get there first. */
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

/** `<user>@<host>:<pid>` of this process. */
function defaultRemoteName(): string {
  return `${userName()}@${hostname()}:${process.pid}`.replace(/[/\\]/g, "_");
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "user"); // an id without an account
  }
}

/** Options are whatever the caller gave. */
function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
