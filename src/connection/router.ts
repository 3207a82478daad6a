import { Broker, type Closable } from "../core/broker.ts";
import { callSite } from "../core/call-site.ts";
import { Context } from "../core/context.ts";
import { installFeatures } from "../core/features.ts";
import type { Peer } from "../core/frame-router.ts";
import { IdAllocator } from "../core/id-allocator.ts";
import { importLate } from "../core/late-import.ts";
import type { Link } from "../core/link.ts";
import { getLogger, logLevel } from "../core/log.ts";
import { Message } from "../core/message.ts";
import { environment, flag, instanceOf, integer, interval, limit } from "../core/option-types.ts";
import { type OptionTable, readOptions, takeOption } from "../core/options.ts";
import { refusalOfRoute } from "../core/route-bounds.ts";
import { RouteMonitor } from "../core/route-monitor.ts";
import { CancelledError, StreamError } from "../errors.ts";
import { ModuleResponder } from "../loader/responder.ts";
import { receiveLogs } from "../logging/log-receiver.ts";
import { serviceCallsOf } from "../service/client.ts";
import { stopServices } from "../service/router-services.ts";
import type { ShortWays } from "../short-way/short-ways.ts";
import type { Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/thrown.ts";
import type { ChildIdentity, Children, StartedChild } from "./children.ts";
import { ConnectingRouter } from "./connecting-router.ts";
import { Connector, factsOf, nameBelow, type StartedFacts } from "./connector.ts";
import { Diagnostics } from "./diagnostics.ts";
import { localRouters } from "./local-routers.ts";
import {
  type ConnectionMethod,
  type ConnectOptions,
  checkMethod,
  type Provision,
  provision,
  readConnectOptions,
} from "./method.ts";
import { Pressure } from "./pressure.ts";
import { reaper } from "./reaper.ts";
import { ProgramRuntimes } from "./runtime/program-runtimes.ts";
import type { RouterStats } from "./stats.ts";
import { NO_TRAFFIC } from "./traffic.ts";

export interface RouterOptions {
  /** The largest message in bytes; 128 MiB by default. Inherited by every context. */
  readonly maxMessageBytes?: number;
  /** Whether contexts may reach only those above them; false by default. Inherited. */
  readonly unidirectional?: boolean;
  /** How many connects may be under way at once; 32 by default. */
  readonly connectConcurrency?: number;
  /**
   * A child that is silent so long is asked for a sign of life; after three such intervals it is taken for dead. A context on another machine
   * asks its parent in the same way, and ends after four. In milliseconds; 15,000 by default, 0 never asks. Inherited.
   */
  readonly keepaliveMs?: number;
  /** What is done for targets without node, unless a connect says otherwise; false by default. Inherited by hops. docs/provision.md */
  readonly provision?: Provision;
  /** Executables to bring, by system: `{ "linux-arm64": "/opt/node-arm64" }`. Each is a file, or an unpacked distribution of Node. */
  readonly runtimes?: Readonly<Record<string, string>>;
}

/** Of the five seconds of design.md section 10; the rest is for SIGTERM and SIGKILL. */
const CHILD_GRACE_MS = 3500;
/** How long methods of services that are under way, and `onShutdown`, are waited for before that. */
const SERVICES_GRACE_MS = 500;
/** The library's own messages, reasons and configuration among them, must fit. */
const MIN_MESSAGE_BYTES = 64 * 1024;
/** Of a frame's length: docs/protocol.md#frames. */
const MAX_MESSAGE_BYTES = 0xffffffff;
const ROUTER_OPTIONS: OptionTable<RouterOptions> = {
  maxMessageBytes: integer(MIN_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
  unidirectional: flag,
  connectConcurrency: limit,
  keepaliveMs: interval,
  provision,
  runtimes: environment,
};
const BROKER = instanceOf(Broker, "a Broker");
const DEFAULT_KEEPALIVE_MS = 15_000;
const DEFAULT_CONNECT_CONCURRENCY = 32;

/** How this process starts contexts; loaded with the first. */
type StartHere = typeof import("./start-here.ts");

const log = getLogger("mitogen.router");

let startHere: StartHere | undefined;

/**
 * The master's router: starts contexts, and routes between them.
 *
 * ```ts
 * await using router = new Router();
 * const web = await router.ssh({ hostname: "web1" });
 * console.log(await web.call(os.hostname));
 * ```
 */
export class Router extends ConnectingRouter {
  /** Serves this program's modules to its contexts. */
  readonly modules: ModuleResponder;
  protected override readonly connector: Connector;
  readonly #ownsBroker: boolean;
  readonly #keepaliveMs: number;
  /** Absent until the first context is to be started here. */
  #children: Children | undefined;
  /** Absent until there is a context that may have one. */
  #shortWays: ShortWays | undefined;
  readonly #diagnostics: Diagnostics;
  readonly #runtimes: ProgramRuntimes;
  readonly #ids: IdAllocator = new IdAllocator();
  readonly #disown: () => void;
  /** What is to be closed with it: listeners. */
  readonly #owned: Set<Closable> = new Set();
  #takesCalls = false;
  #shutdown: Promise<void> | undefined;

  /** Without a broker it makes its own, which then ends with it. */
  constructor(broker?: Broker, given: RouterOptions = {}) {
    const options = readOptions("make a router", given, ROUTER_OPTIONS);
    if (broker !== undefined) takeOption("make a router", "the broker", broker, BROKER);
    super(broker ?? new Broker(), { ...options, contextId: 0 });
    this.#ownsBroker = broker === undefined;
    this.modules = new ModuleResponder(this);
    this.functions = this.modules;
    installFeatures(this, serviceCallsOf);
    receiveLogs(this);
    const forget = this.onContextsLost;
    this.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const id of contextIds) {
        this.modules.forget(id);
        this.#ids.forget(id);
      }
    };
    new Pressure(this);
    this.isAbove = (contextId, belowId) => this.isAtOrAbove(contextId, belowId);
    this.#keepaliveMs = options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS;
    this.#diagnostics = new Diagnostics(this, (peerId, contextId) => {
      const state = this.#children?.linkState(peerId);
      return state && { ...state, shortWay: this.#shortWays?.traffic(contextId) };
    });
    new RouteMonitor(this, {
      mayClaim: (contextId, from) => this.mayClaim(contextId, from),
      onRouteAdded: (contextId, name, nodeVersion) => this.onRouteAdded(contextId, name, nodeVersion),
      onFarewell: (contextId, reason) => this.#children?.noteFarewell(contextId, reason),
    });
    this.#runtimes = new ProgramRuntimes(this, options);
    this.connector = this.makeConnector(options.connectConcurrency ?? DEFAULT_CONNECT_CONCURRENCY);
    this.listen((frame) => this.detaching(frame), { handle: Handle.DETACHING, isService: true });
    this.addHandler((message) => this.allocateIds(message), { handle: Handle.ALLOCATE_ID, service: true });
    // Contexts ask whether this program is there, as it asks them.
    this.addHandler((message) => message.reply(null), { handle: Handle.PING, service: true });
    this.#disown = this.broker.own({ shutdown: () => this.closeAll() });
    localRouters.add(this);
  }

  /**
   * Starts a context with a connection method of your own. Only from this process: another one does not have its code; there, use
   * {@link exec}.
   */
  async connect<O extends ConnectOptions>(method: ConnectionMethod<O>, options: O): Promise<Context> {
    checkMethod(method);
    const { via } = readConnectOptions<ConnectOptions>(method.name, options);
    if (via !== undefined && via.contextId !== this.contextId) {
      throw new TypeError(
        `Cannot connect with ${method.name}() via ${via.name}: a method of your own is not known there; use exec({ command, via })`,
      );
    }
    return await this.connector.start(method as unknown as ConnectionMethod, options);
  }

  /**
   * Cuts the link to a child of this process, without asking it to end; it ends because its link did, and its process is reaped. Later
   * calls fail, no route leads there. For a context behind another, or one that is gone, it does nothing.
   */
  async disconnect(context: Context): Promise<void> {
    this.broker.hold();
    await this.#children?.disconnect(context.contextId);
    this.broker.release();
  }

  /** Counters since this router was made. */
  getStats(): RouterStats {
    const children = this.#children?.stats ?? { contextCount: 0, connectCount: 0, ...NO_TRAFFIC };
    return { ...this.modules.stats, ...children, ...this.#diagnostics.stats };
  }

  /**
   * Writes all log records, a line per frame included, to `<tmp>/mitogen.<pid>.<time>.log`, and has every context that is started from
   * now on do the same in its own temporary folder; answers the path. Throws what opening a file throws. docs/debugging.md
   */
  enableDebug(): string {
    return this.#diagnostics.enableDebug(callSite(this.enableDebug)());
  }

  /** This process and all contexts, as text for people: what is connected, what waits for whom, what is queued. */
  dump(): string {
    return this.#diagnostics.dump();
  }

  /** Has {@link dump} logged as WARNING at SIGUSR2, or written to stderr where nothing is logged; returns the function that ends that. */
  installDiagnostics(): () => void {
    return this.#diagnostics.installSignal();
  }

  /** Ends every context of this router, hung ones included; resolves when they are reaped. Idempotent, never rejects. */
  override shutdown(): Promise<void> {
    return this.#ownsBroker ? this.broker.shutdown() : this.closeAll();
  }

  override routeFrame(frame: Frame, from?: Peer): void {
    if (this.#shortWays?.takeFrame(frame, from) !== true) super.routeFrame(frame, from);
  }

  override delRoutes(contextIds: readonly number[], reason: string): void {
    this.#shortWays?.forget(contextIds);
    super.delRoutes(contextIds, reason);
  }

  /** For listeners: what its shutdown closes first. Returns what forgets it. Throws a CancelledError after the shutdown. */
  own(closable: Closable, what: string): () => void {
    if (this.#shutdown !== undefined) {
      throw new CancelledError(`Cannot ${what}: the router has been shut down`);
    }
    this.#owned.add(closable);
    return () => this.#owned.delete(closable);
  }

  /** For listeners: has this program take calls, by `start`, from now on. */
  takeCalls(start: () => void): void {
    if (!this.#takesCalls) start();
    this.#takesCalls = true;
  }

  /** For listeners: another program, which speaks with this one's authority. `greet` makes the first frame it is sent. */
  admit(link: Link, name: string, greet: (contextId: number) => Frame): Context {
    const contextId = this.#ids.allocate(this.contextId);
    // It has its link; nobody is to claim it.
    this.#ids.release(contextId);
    const context = new Context(this, contextId, name);
    this.adopt(context);
    link.send(greet(contextId));
    this.attach(link, contextId, "child", { authId: this.contextId });
    return context;
  }

  protected override async endContext(context: Context): Promise<void> {
    if (this.#diagnostics.isProfiling) await this.#diagnostics.collect(context);
    if (this.#children?.has(context.contextId)) await this.#children.end(context.contextId);
    else if (context.via === undefined) await this.endByMessage(context);
    else await this.endThrough(context.via, context);
  }

  private makeConnector(concurrency: number): Connector {
    return new Connector(this, {
      concurrency,
      logLevel,
      isShutDown: () => this.#shutdown !== undefined,
      load: (method) => (startHere === undefined ? loadStartHere(method) : undefined),
      tableOf: (method) => (typeof method === "string" ? startHere?.methods[method]?.options : undefined),
      allocateId: (parentId) => {
        this.checkRoom(parentId);
        this.modules.sendParentRole(parentId);
        return this.#ids.allocate(parentId);
      },
      releaseId: (contextId) => this.#ids.release(contextId),
      mayProvision: (options) => this.#runtimes.mayProvision(options),
      during: (connect, options, stack) => this.#diagnostics.during(connect, options.debug === true, stack),
      onStarted: (context, options, facts) => {
        this.#diagnostics.connected(context, options, facts);
        this.#runtimes.note(context, options);
        if (facts.method === "local") this.addShortWay(context, options.via);
      },
      startHere: (method, options, identity) => this.connectHere(method, options, identity),
    });
  }

  /** What goes to a context often is to take a short way, if there may be one. */
  private addShortWay({ contextId }: Context, via: Context | undefined): void {
    if (process.env.MITOGEN_SHORT_WAY === "off") return;
    const { ShortWays, listenPrivately } = startHere as StartHere;
    this.#shortWays ??= new ShortWays({
      router: this,
      routeLong: (frame, from) => super.routeFrame(frame, from),
      end: (id, reason) => this.giveUp(this.contextById(id), reason),
      listen: listenPrivately,
    });
    this.#shortWays.add(contextId, via?.contextId ?? this.contextId);
  }

  /** Ends a context that is of no use any more. */
  private giveUp(context: Context, reason: string): void {
    const why = `${context.name}: ${reason}`;
    log.error(why);
    this.endRespondents([context.contextId], why);
    void this.shutdownContext(context, false);
  }

  private async connectHere(
    method: string | ConnectionMethod,
    options: ConnectOptions,
    identity: ChildIdentity,
  ): Promise<StartedFacts> {
    const { contextId } = identity;
    const onConnected = ({ name, ready }: StartedChild): void => {
      this.noteContext(new Context(this, contextId, nameBelow(undefined, name)), ready.nodeVersion);
      log.debug(`Connected ${name}: context ${contextId}, node ${ready.nodeVersion} on ${ready.platform}`);
    };
    const { Children, methods } = startHere as StartHere;
    this.#children ??= new Children(this, CHILD_GRACE_MS, this.#keepaliveMs);
    if (method === "thread") {
      return factsOf(await this.#children.startThreadChild(options, identity, onConnected));
    }
    const known = typeof method === "string" ? (methods[method] as ConnectionMethod) : method;
    const starting = this.#children.start(
      known,
      options,
      identity,
      onConnected,
      this.#runtimes.forConnect(options),
    );
    this.modules.warmUp();
    return factsOf(await starting);
  }

  private detaching(frame: Frame): void {
    if (this.#children !== undefined) this.#children.detaching(frame);
    else this.answerDead(frame, `Cannot detach context ${frame.srcId}: this process has started none`);
  }

  /** A context that this process, or one below, has started. */
  private noteContext(context: Context, nodeVersion: string): void {
    this.adopt(context);
    this.modules.addTarget(context.contextId, nodeVersion);
    this.#diagnostics.started(context, this.connector.pending(context.contextId) !== undefined);
    this.connector.noteStarted(context, nodeVersion);
  }

  /** Throws a RangeError when `parentId` can have no child, for there are too many contexts. */
  private checkRoom(parentId: number): void {
    const why = refusalOfRoute(this, this.peerOf(parentId));
    if (why !== undefined) throw new RangeError(`Cannot start a context: ${why}`);
  }

  private mayClaim(contextId: number, from: Peer): boolean {
    const owner = this.#ids.ownerOf(contextId);
    return owner !== undefined && this.peerOf(owner) === from;
  }

  private onRouteAdded(contextId: number, name: string, nodeVersion: string): void {
    // Claimed, and so given to somebody.
    const via = this.contextById(this.#ids.ownerOf(contextId) as number);
    this.noteContext(new Context(this, contextId, nameBelow(via, name), via), nodeVersion);
  }

  /**
   * Answers [start, end): ids for the contexts that a context starts on its own, and makes it able to. It may ask for one below it
   * instead, from which it is about to start a context.
   */
  private allocateIds(message: Message): void {
    const { srcId } = message;
    // Ids that nobody is told of would be lost.
    if (message.replyTo === 0) return;
    try {
      const wanted = message.decode() ?? srcId;
      const linkId = this.peerOf(srcId)?.contextId ?? srcId;
      // Else a child could have ids given to a context elsewhere.
      if (typeof wanted !== "number" || !this.isAtOrAbove(srcId, wanted)) {
        throw new RangeError(
          `Cannot allocate ids for ${typeof wanted === "number" ? `context ${wanted}` : typeof wanted}: it is not below context ${srcId}`,
        );
      }
      if (this.connector.isThread(wanted)) {
        throw new RangeError(`Cannot allocate ids for context ${wanted}: a thread can have no children`);
      }
      this.checkRoom(wanted);
      const value = this.#ids.allocateBlock(wanted, linkId);
      this.modules.sendParentRole(wanted);
      const to = { dstId: srcId, handle: message.replyTo, replyTo: Handle.ALLOCATE_ID };
      this.route(Message.to(this, to, { value }));
    } catch (error) {
      this.answerDead(message, messageOf(error));
    }
  }

  private closeAll(): Promise<void> {
    this.#shutdown ??= this.closeContexts();
    return this.#shutdown;
  }

  private async closeContexts(): Promise<void> {
    localRouters.delete(this);
    this.broker.hold();
    // First, while the methods that run can still reach the contexts they work with.
    await stopServices(this, SERVICES_GRACE_MS);
    await Promise.all([...this.#owned].map((closable) => closable.shutdown()));
    if (this.#diagnostics.isProfiling) await this.#diagnostics.collect();
    this.#shortWays?.close();
    // Listeners need it, too.
    await (this.#children?.endAll() ?? reaper.settle());
    this.endHandlers("The router was shut down");
    this.#diagnostics.end();
    this.#disown();
    this.broker.release();
  }
}

async function loadStartHere(methodName: string): Promise<void> {
  try {
    startHere = await importLate(() => import("./start-here.ts"));
  } catch (cause) {
    throw new StreamError(`Cannot connect with ${methodName}(): ${messageOf(cause)}`, { cause });
  }
}
