import { hostname, userInfo } from "node:os";
import { callSite, placedAt } from "../core/call-site.ts";
import type { Context } from "../core/context.ts";
import type { CoreRouter } from "../core/router.ts";
import { StreamError, TimeoutError } from "../errors.ts";
import { getLogger } from "../logging/log.ts";
import { checkOwn } from "../options/options.ts";
import { oneLine } from "../text/harmless.ts";
import { Slots } from "../waiting/slots.ts";
import { onAbort } from "../waiting/wait.ts";
import { Handle } from "../wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../wire/values/references.ts";
import type { Children } from "./children/children.ts";
import { cancelled, cancelledBy } from "./children/running-connect.ts";
import { describeFailure } from "./failures/connect-error-record.ts";
import {
  type ConnectionMethod,
  type ConnectOptions,
  type LibraryMethod,
  readConnectOptions,
} from "./methods/method.ts";
import { requestConnect } from "./request-connect.ts";
import type { OpenProvisioner } from "./runtime/plan.ts";
import { factsOf, type MethodFacts } from "./started-facts.ts";

/** What differs between the program's router and the router of a context. */
export interface ConnectorHost {
  /** How many connects may run at once. */
  readonly concurrency: number;
  /** The lowest level that a new context forwards: a `LogLevel`. */
  logLevel(): number;
  isShutDown(): boolean;
  /**
   * Loads the code that starts a child of this process with that method. Returns undefined if the code is
   * already loaded.
   */
  load?(methodName: string): Promise<void> | undefined;
  /**
   * The option table of a method, if this process has it. A context does not: its broker thread, or another
   * context, checks the options.
   */
  tableOf?(method: string | ConnectionMethod): LibraryMethod["options"] | undefined;
  /**
   * Allocates an id for a child of the context `parentId`. From then on that context may be asked to start
   * the child.
   */
  allocateId(parentId: number): number | Promise<number>;
  /** Called when the connect has succeeded or failed: from now on nobody can claim the id. */
  giveBackId?(contextId: number): void;
  /**
   * What starts children of this process. Absent in a context: a context asks its broker thread in the same way
   * as another context.
   */
  children?(): Pick<Children, "start">;
  /** Brings a node to a child of this process that has none. */
  openProvisioner?(options: ConnectOptions): OpenProvisioner | undefined;
  /** Whether a target behind a context may get a node, if that is known. */
  mayProvision?(options: ConnectOptions): boolean;
  /** Watches a connect. `stack` returns the stack of the code that asked for it. */
  during?(connect: Promise<Context>, options: ConnectOptions, stack: () => string): Promise<Context>;
  /** Told how a context was made, before the caller has the context. */
  onStarted?(context: Context, options: ConnectOptions, facts: MethodFacts): void;
}

/**
 * How long a context may take to say that a child of its own has ended. It needs about three seconds at most.
 */
const END_CHILD_MS = 10_000;

const log = getLogger("mitogen.connect");

/** A connect that has not ended yet. */
interface Pending {
  readonly via: Context | undefined;
  context?: Context;
  nodeVersion: string;
}

/**
 * Starts contexts for a router, the program's or that of a context. It checks the options, takes an id, and
 * has this process or another one start the context.
 */
export class Connector {
  readonly #router: CoreRouter;
  readonly #host: ConnectorHost;
  readonly #connects: Slots;
  readonly #pending: Map<number, Pending> = new Map();
  readonly #started: Map<number, Context> = new Map();
  readonly #threads: Set<number> = new Set();

  constructor(router: CoreRouter, host: ConnectorHost) {
    this.#router = router;
    this.#host = host;
    this.#connects = new Slots(host.concurrency);
    router.lossListeners.push((contextIds) => {
      for (const id of contextIds) {
        this.#started.delete(id);
        this.#threads.delete(id);
      }
    });
  }

  /** The contexts that this connector has started and that can be reached. */
  get started(): ReadonlyMap<number, Context> {
    return this.#started;
  }

  /** Whether the context is a thread. Threads can have no children. */
  isThread(contextId: number): boolean {
    return this.#threads.has(contextId);
  }

  /** The running connect for which the id was taken. */
  pending(contextId: number): { readonly via: Context | undefined } | undefined {
    return this.#pending.get(contextId);
  }

  /** Call this when the route to a context is added, before any message of that context is delivered. */
  noteStarted(context: Context, nodeVersion: string): void {
    const pending = this.#pending.get(context.contextId);
    if (pending === undefined) return;
    pending.context = context;
    pending.nodeVersion = nodeVersion;
    this.#started.set(context.contextId, context);
  }

  /** `method` is either a name from the table, which every context has, or a method of the program's own. */
  async start(method: string | ConnectionMethod, options: ConnectOptions): Promise<Context> {
    const methodName = typeof method === "string" ? method : method.name;
    // One frame deeper: the router's method is between this function and the caller.
    const site = callSite(this.start, 1);
    this.#router.broker.hold();
    try {
      const loading = this.#host.load?.(methodName);
      // A copy: the caller may change the object while this function waits.
      const given = loading !== undefined && isObject(options) ? { ...options } : options;
      if (loading !== undefined) await loading;
      const checked = readConnectOptions(methodName, given, this.#host.tableOf?.(method));
      const { signal } = checked;
      const watch = (refuse: (error: Error) => void): (() => void) =>
        signal === undefined
          ? () => undefined
          : onAbort(signal, () => refuse(cancelledBy(methodName, signal)));
      return await this.#connects.run(() => {
        const connect = this.startOne(method, methodName, checked);
        return this.#host.during?.(connect, checked, site) ?? connect;
      }, watch);
    } catch (error) {
      throw placedAt(withSummary(error), site());
    } finally {
      this.#router.broker.release();
    }
  }

  /** Whether the router's shutdown has begun. From then on it starts nothing. */
  get isShutDown(): boolean {
    return this.#host.isShutDown() || this.#router.broker.isShutDown;
  }

  private async startOne(
    method: string | ConnectionMethod,
    methodName: string,
    options: ConnectOptions,
  ): Promise<Context> {
    const { contextId: ownId } = this.#router;
    if (this.isShutDown) {
      throw cancelled(methodName, "the router has been shut down");
    }
    throwIfAborted(methodName, options.signal);
    checkOwn(`connect with ${methodName}()`, "via", options.via, this.#router);
    const via = options.via?.contextId === ownId ? undefined : options.via;
    if (via !== undefined && this.#threads.has(via.contextId)) {
      throw new TypeError(
        `Cannot connect with ${methodName}() via ${via.name}: a thread cannot have children; use the context it belongs to`,
      );
    }
    const allocated = this.#host.allocateId(via?.contextId ?? ownId);
    // No await when the id is known at once: then a child of this process is spawned before `startOne`
    // returns.
    const contextId = typeof allocated === "number" ? allocated : await allocated;
    throwIfAborted(methodName, options.signal);
    const pending: Pending = { via, nodeVersion: "" };
    this.#pending.set(contextId, pending);
    const remoteName = options.remoteName ?? defaultRemoteName();
    const identity = { contextId, remoteName, logLevel: this.#host.logLevel() };
    if (method === "thread") this.#threads.add(contextId);
    const forget = (): void => {
      this.#pending.delete(contextId);
      this.#host.giveBackId?.(contextId);
    };
    const children = via === undefined ? this.#host.children?.() : undefined;
    let cleared: Promise<void> | undefined;
    try {
      const facts =
        children !== undefined
          ? factsOf(await children.start(method, options, identity, this.#host.openProvisioner?.(options)))
          : await requestConnect(
              this.#router,
              via,
              methodName,
              options,
              identity,
              this.mayProvision(method, options),
            );
      throwIfAborted(methodName, options.signal);
      const context = pending.context ?? this.#router.contextById(contextId);
      this.#host.onStarted?.(context, options, {
        method: methodName,
        nodeVersion: pending.nodeVersion,
        ...facts,
      });
      return context;
    } catch (error) {
      this.#threads.delete(contextId);
      // The context may exist all the same, or start late, and would then belong to nobody. Its id stays
      // taken until the context is gone.
      const isUnknown = error instanceof TimeoutError || options.signal?.aborted === true;
      if (children !== undefined) cleared = pending.context?.shutdown({ wait: true });
      else if (isUnknown || pending.context !== undefined) {
        cleared = this.endBehind(via ?? this.#router.myself(), contextId);
      }
      throw error;
    } finally {
      if (cleared === undefined) forget();
      else void cleared.then(forget);
    }
  }

  /**
   * Asks `parent` to end a child of its own, or to cancel the connect for one. If `parent` does not confirm
   * in time, this router gives up the child and everything behind it, and pending calls to them fail. Never
   * rejects.
   */
  async endBehind(parent: Context, contextId: number): Promise<void> {
    const router = this.#router;
    const name = this.#started.get(contextId)?.name ?? `context.${contextId}`;
    let reason = `${name}: was shut down`;
    try {
      await parent.request(Handle.END_CHILD, [contextId], { timeoutMs: END_CHILD_MS });
    } catch (error) {
      // Any other error means that `parent` itself is gone.
      if (error instanceof TimeoutError) {
        reason = `${name}: was given up: ${parent.name} did not say within ${END_CHILD_MS} ms that it has ended`;
        log.warning(reason);
      }
    }
    if (router.peerOf(contextId) === undefined && !this.#started.has(contextId)) return;
    const lost = new Set([contextId, ...this.#started.keys(), ...router.routedIds.keys()]);
    const isBehind = (id: number): boolean => id === contextId || router.isAbove?.(contextId, id) === true;
    router.delRoutes([...lost].filter(isBehind), reason);
  }

  private mayProvision(method: string | ConnectionMethod, options: ConnectOptions): boolean {
    return method !== "thread" && this.#host.mayProvision?.(options) !== false;
  }
}

/**
 * Every error of a failed connect has a `summary`. If the error has no details, its message is the summary.
 */
function withSummary(error: unknown): unknown {
  const isFailure = error instanceof StreamError || error instanceof TimeoutError;
  return isFailure && error.summary === undefined
    ? describeFailure(error, { summary: error.message })
    : error;
}

/**
 * The name of a context started from `via`. Names travel and are part of every log line, so they are bounded.
 * A long name keeps its end, which says the most.
 */
export function nameBelow(via: Context | undefined, name: string): string {
  // The name may be one that a context has announced, so it may hold anything.
  const full = oneLine(via === undefined ? name : `${via.name}.${name}`, "?");
  return full.length < MAX_CONTEXT_NAME ? full : `…${full.slice(-(MAX_CONTEXT_NAME - 2))}`;
}

function throwIfAborted(method: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelledBy(method, signal);
}

/** `<user>@<host>:<pid>` of this process. */
function defaultRemoteName(): string {
  return `${userName()}@${hostname()}:${process.pid}`.replace(/[/\\]/g, "_");
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "user"); // this user id has no account
  }
}

/** The options come from the caller unchecked. */
function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
