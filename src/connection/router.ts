import { hostname, userInfo } from "node:os";
import { Broker } from "../core/broker.ts";
import { Context } from "../core/context.ts";
import { getLogger, logLevel } from "../core/log.ts";
import { Message } from "../core/message.ts";
import { CoreRouter } from "../core/router.ts";
import { CancelledError, ChannelError } from "../errors.ts";
import { ModuleResponder, type ModuleStats } from "../loader/responder.ts";
import { receiveLogs } from "../logging/log-receiver.ts";
import type { Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { ConnectAttempt } from "./child-connection.ts";
import { ChildLink } from "./child-link.ts";
import { type LocalOptions, localMethod } from "./local.ts";
import type { ConnectionMethod, ConnectOptions } from "./method.ts";
import { Semaphore } from "./semaphore.ts";
import { type SshOptions, sshMethod } from "./ssh.ts";

export interface RouterOptions {
  /** The largest message in bytes; 128 MiB by default. Inherited by every context. */
  readonly maxMessageBytes?: number;
  /** Whether contexts may reach only those above them; false by default. Inherited. */
  readonly unidirectional?: boolean;
  /** How many connects may be under way at once; 32 by default. */
  readonly connectConcurrency?: number;
}

/** What a router has done so far. */
export interface RouterStats extends ModuleStats {
  /** Contexts connected now, and in all. */
  contextCount: number;
  connectCount: number;
  /** Bytes over the links to this router's children, bootstrap included. */
  bytesSent: number;
  bytesReceived: number;
}

/** How much of a child's parting words is kept. */
const FAREWELL_CHARACTERS = 8192;

const log = getLogger("mitogen.router");

/**
 * The master's router: starts contexts, and routes between them.
 *
 * ```ts
 * await using router = new Router();
 * const web = await router.ssh({ hostname: "web1" });
 * console.log(await web.call(os.hostname));
 * ```
 */
export class Router extends CoreRouter {
  /** Serves this program's modules to its contexts. */
  readonly modules: ModuleResponder;
  readonly #ownsBroker: boolean;
  readonly #connects: Semaphore;
  readonly #attempts: Set<ConnectAttempt<ConnectOptions>> = new Set();
  readonly #links: Map<number, ChildLink> = new Map();
  readonly #disown: () => void;
  readonly #past = { bytesSent: 0, bytesReceived: 0 };
  #connectCount = 0;
  #nextContextId = 1;
  #shutdown: Promise<void> | undefined;

  /** Without a broker it makes its own, which then ends with it. */
  constructor(broker?: Broker, options: RouterOptions = {}) {
    super(broker ?? new Broker(), { ...options, contextId: 0 });
    this.#ownsBroker = broker === undefined;
    this.#connects = new Semaphore(options.connectConcurrency ?? 32);
    this.modules = new ModuleResponder(this);
    this.functions = this.modules;
    receiveLogs(this);
    const forget = this.onContextsLost;
    this.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const id of contextIds) {
        this.modules.forget(id);
        this.countTraffic(this.#past, id);
        this.#links.delete(id);
      }
    };
    this.listen((frame) => this.onFarewell(frame), {
      handle: Handle.DEL_ROUTE,
      policy: ({ srcId }) => this.isImmediateChild(srcId),
      isService: true,
    });
    this.#disown = this.broker.own({ shutdown: () => this.closeAll() });
  }

  /** Starts a context as a child process of this one. */
  local(options: LocalOptions = {}): Promise<Context> {
    return this.connect(localMethod, options);
  }

  /** Starts a context on another machine with the real `ssh`, `~/.ssh/config` included. */
  ssh(options: SshOptions): Promise<Context> {
    return this.connect(sshMethod, options);
  }

  /** Counters since this router was made. */
  getStats(): RouterStats {
    const traffic = { ...this.#past };
    for (const id of this.#links.keys()) this.countTraffic(traffic, id);
    return {
      ...this.modules.stats,
      ...traffic,
      contextCount: this.#links.size,
      connectCount: this.#connectCount,
    };
  }

  /** Ends every context of this router, hung ones included; resolves when they are reaped. Idempotent, never rejects. */
  shutdown(): Promise<void> {
    return this.#ownsBroker ? this.broker.shutdown() : this.closeAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  override async shutdownContext(context: Context, wait: boolean): Promise<void> {
    const link = this.#links.get(context.contextId);
    if (link === undefined) {
      await super.shutdownContext(context, wait);
      return;
    }
    this.sendShutdown(context.contextId);
    const ended = link.end();
    if (!wait) return;
    this.broker.hold();
    await ended;
    // Reaped or given up: either way nothing will come from there any more.
    link.abort(`${context.name}: was shut down`);
    await context.disconnected;
    this.broker.release();
  }

  private async connect<O extends ConnectOptions>(method: ConnectionMethod<O>, options: O): Promise<Context> {
    const remoteName = options.remoteName ?? defaultRemoteName();
    if (/[/\\]/.test(remoteName)) {
      throw new RangeError(`Cannot connect: remoteName ${JSON.stringify(remoteName)} may not hold slashes`);
    }
    const attempt = new ConnectAttempt(method, options);
    this.broker.hold();
    try {
      return await this.#connects.run(() => this.runAttempt(attempt, method, options, remoteName));
    } finally {
      this.broker.release();
    }
  }

  private async runAttempt<O extends ConnectOptions>(
    attempt: ConnectAttempt<O>,
    method: ConnectionMethod<O>,
    options: O,
    remoteName: string,
  ): Promise<Context> {
    if (this.#shutdown !== undefined || this.broker.isShutDown) {
      throw new CancelledError(`Cannot connect with ${method.name}(): the router has been shut down`);
    }
    const contextId = this.#nextContextId++;
    this.#attempts.add(attempt as never);
    try {
      const { tool, ready, rest } = await attempt.run({
        contextId,
        parentIds: [0],
        remoteName,
        logLevel: logLevel(),
        maxMessageBytes: this.maxMessageBytes,
        unidirectional: options.unidirectional ?? this.unidirectional,
      });
      const name = options.name ?? method.contextName(options, ready.pid);
      const context = new Context(this, contextId, name, options.via);
      this.adopt(context);
      this.modules.addTarget(contextId, ready.nodeVersion);
      const link = new ChildLink(name, tool, this.maxMessageBytes);
      this.#links.set(contextId, link);
      this.#connectCount += 1;
      this.attach(link, contextId, "child");
      link.receive(rest);
      log.debug(`Connected ${name}: context ${contextId}, node ${ready.nodeVersion} on ${ready.platform}`);
      return context;
    } finally {
      this.#attempts.delete(attempt as never);
    }
  }

  private countTraffic(into: { bytesSent: number; bytesReceived: number }, contextId: number): void {
    const traffic = this.#links.get(contextId)?.traffic;
    into.bytesSent += traffic?.bytesSent ?? 0;
    into.bytesReceived += traffic?.bytesReceived ?? 0;
  }

  /** [context id, reason]: a child says why it is about to go. It may only speak for itself. */
  private onFarewell(frame: Frame): void {
    const value = new Message(this, frame).decode();
    const [contextId, reason] = Array.isArray(value) ? value : [];
    if (contextId !== frame.srcId || typeof reason !== "string") {
      throw new ChannelError(`context ${frame.srcId} may not end the route to ${String(contextId)}`);
    }
    const link = this.#links.get(frame.srcId);
    if (link !== undefined) link.farewell = reason.slice(0, FAREWELL_CHARACTERS);
  }

  private closeAll(): Promise<void> {
    this.#shutdown ??= this.closeContexts();
    return this.#shutdown;
  }

  private async closeContexts(): Promise<void> {
    this.broker.hold();
    const attempts = [...this.#attempts].map((attempt) => attempt.cancel());
    const contexts = [...this.#links.keys()].map((id) => this.shutdownContext(this.contextById(id), true));
    await Promise.all([...attempts, ...contexts]);
    this.endHandlers("The router was shut down");
    this.#disown();
    this.broker.release();
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
