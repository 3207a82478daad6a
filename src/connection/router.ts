import { installFeatures } from "../calls/caller/router-features.ts";
import { callSite } from "../core/call-site.ts";
import { Context } from "../core/context.ts";
import { Diagnostics } from "../diagnostics/diagnostics.ts";
import { receiveLogs } from "../diagnostics/log-receiver.ts";
import type { RouterStats } from "../diagnostics/stats.ts";
import { CancelledError, StreamError } from "../errors.ts";
import type { Link } from "../links/link.ts";
import { NO_TRAFFIC } from "../links/traffic.ts";
import { ModuleResponder } from "../loader/serve/responder.ts";
import { getLogger, logLevel } from "../logging/log.ts";
import { instanceOf } from "../options/option-types.ts";
import { checkMadeBy, checkOwn, readOptions, takeOption } from "../options/options.ts";
import { importLate } from "../process/late-import.ts";
import { reaper } from "../process/reaper.ts";
import type { Peer } from "../routing/peer.ts";
import { Pressure } from "../routing/pressure.ts";
import { RouteMonitor } from "../routing/route-monitor.ts";
import { serviceCallsOf } from "../service/client.ts";
import { stopServices } from "../service/router-services.ts";
import type { ShortWays } from "../short-way/short-ways.ts";
import { Broker, type Closable } from "../waiting/broker.ts";
import type { Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/values/thrown.ts";
import type { Children } from "./children/children.ts";
import { ConnectingRouter } from "./connecting-router.ts";
import { Connector, nameBelow } from "./connector.ts";
import { ContextIds } from "./context-ids.ts";
import { localRouters } from "./local-routers.ts";
import {
  type ConnectionMethod,
  type ConnectOptions,
  checkMethod,
  readConnectOptions,
} from "./methods/method.ts";
import { ProgramRuntimes } from "./program-runtimes.ts";
import {
  DEFAULT_CONNECT_CONCURRENCY,
  DEFAULT_KEEPALIVE_MS,
  ROUTER_OPTIONS,
  type RouterOptions,
} from "./router-options.ts";

/** A context may take five seconds to end. The rest of them is for SIGTERM and SIGKILL. */
const CHILD_GRACE_MS = 3500;
/** How long the shutdown waits for running service methods and `onShutdown`, before it ends contexts. */
const SERVICES_GRACE_MS = 500;
const BROKER = instanceOf(Broker, "a Broker");

/** The code that starts contexts. It is loaded with the first context. */
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
  /** @internal */
  protected override readonly connector: Connector;
  readonly #ownsBroker: boolean;
  readonly #keepaliveMs: number;
  /** Undefined until this process starts its first context. */
  #children: Children | undefined;
  /** Undefined until a context may have a short way. */
  #shortWays: ShortWays | undefined;
  readonly #diagnostics: Diagnostics;
  readonly #runtimes: ProgramRuntimes;
  readonly #ids: ContextIds;
  readonly #disown: () => void;
  /** Listeners, which the router closes when it shuts down. */
  readonly #owned: Set<Closable> = new Set();
  #takesCalls = false;
  #shutdown: Promise<void> | undefined;

  /** Without a broker, the router makes its own and ends it. Throws a TypeError or RangeError for wrong options. */
  constructor(broker?: Broker, given: RouterOptions = {}) {
    const options = readOptions("make a router", given, ROUTER_OPTIONS);
    if (broker !== undefined) takeOption("make a router", "the broker", broker, BROKER);
    super(broker ?? new Broker(), { ...options, contextId: 0 });
    this.#ownsBroker = broker === undefined;
    this.modules = new ModuleResponder(this);
    this.functions = this.modules;
    installFeatures(this, serviceCallsOf);
    receiveLogs(this);
    this.#ids = new ContextIds(this, {
      isThread: (contextId) => this.connector.isThread(contextId),
      sendParentRole: (contextId) => this.modules.sendParentRole(contextId),
    });
    this.lossListeners.push((contextIds) => {
      for (const id of contextIds) {
        this.modules.forget(id);
        this.#ids.forget(id);
      }
    });
    new Pressure(this);
    this.isAbove = (contextId, belowId) => this.isAtOrAbove(contextId, belowId);
    this.#keepaliveMs = options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS;
    this.#diagnostics = new Diagnostics(this, (peerId, contextId) => {
      const state = this.#children?.linkState(peerId);
      return state && { ...state, shortWay: this.#shortWays?.traffic(contextId) };
    });
    new RouteMonitor(this, {
      mayClaim: (contextId, from) => this.#ids.mayClaim(contextId, from),
      onRouteAdded: (contextId, name, nodeVersion) => this.onRouteAdded(contextId, name, nodeVersion),
      onFarewell: (contextId, reason) => this.#children?.noteFarewell(contextId, reason),
    });
    this.#runtimes = new ProgramRuntimes(this, options);
    this.connector = this.makeConnector(options.connectConcurrency ?? DEFAULT_CONNECT_CONCURRENCY);
    this.listen((frame) => this.detaching(frame), { handle: Handle.DETACHING, isService: true });
    // Contexts check with a PING that this program is alive, as it checks them.
    this.addHandler((message) => message.reply(null), { handle: Handle.PING, service: true });
    this.#disown = this.broker.own({ shutdown: () => this.closeAll() });
    localRouters.add(this);
  }

  /**
   * Starts a context with a connection method of your own. Rejects with a TypeError if `via` names another context,
   * because that context does not have the code of the method; use {@link exec} there.
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
   * Cuts the link to a child of this process, without asking the child to end. The child ends because its link has
   * ended, and its process is reaped. Later calls to it fail. Does nothing for a context behind a hop, or one that is
   * gone.
   */
  async disconnect(context: Context): Promise<void> {
    const what = "disconnect a context";
    checkMadeBy(Context, what, "the first argument", "a Context", context);
    checkOwn(what, "the first argument", context, this);
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
   * Writes all log records, with a line for each frame, to `<tmp>/mitogen.<pid>.<time>.log`, and returns that path.
   * Every context that is started from now on does the same in its own temporary folder. Throws Node's error if the
   * file cannot be opened, and a CancelledError if the router has been shut down. docs/debugging.md
   */
  enableDebug(): string {
    return this.#diagnostics.enableDebug(callSite(this.enableDebug)());
  }

  /** Returns a text for people about this process and all contexts: links, pending calls, queues. */
  dump(): string {
    return this.#diagnostics.dump();
  }

  /**
   * At SIGUSR2, logs {@link dump} as WARNING, or writes it to stderr if nobody gets such records. Returns a function
   * that removes the handler.
   */
  installDiagnostics(): () => void {
    return this.#diagnostics.installSignal();
  }

  /** Ends every context of this router, even if it hangs. Resolves when all are reaped. Idempotent, never rejects. */
  override shutdown(): Promise<void> {
    return this.#ownsBroker ? this.broker.shutdown() : this.closeAll();
  }

  /** @internal */
  override routeFrame(frame: Frame, from?: Peer): void {
    if (this.#shortWays?.takeFrame(frame, from) !== true) super.routeFrame(frame, from);
  }

  /** @internal */
  override delRoutes(contextIds: readonly number[], reason: string): void {
    this.#shortWays?.forget(contextIds);
    super.delRoutes(contextIds, reason);
  }

  /**
   * For listeners: what its shutdown closes first. Returns what forgets it. Throws a CancelledError after the shutdown.
   * @internal
   */
  own(closable: Closable, what: string): () => void {
    if (this.#shutdown !== undefined) {
      throw new CancelledError(`Cannot ${what}: the router has been shut down`);
    }
    this.#owned.add(closable);
    return () => this.#owned.delete(closable);
  }

  /** For listeners: has this program take calls, by `start`, from now on. @internal */
  takeCalls(start: () => void): void {
    if (!this.#takesCalls) start();
    this.#takesCalls = true;
  }

  /**
   * For listeners: another program, which speaks with this one's authority. `greet` makes the first frame it is sent.
   * @internal
   */
  admit(link: Link, name: string, greet: (contextId: number) => Frame): Context {
    const contextId = this.#ids.allocateForLink();
    const context = new Context(this, contextId, name);
    this.adopt(context);
    link.send(greet(contextId));
    this.attach(link, contextId, "child", { authId: this.contextId });
    return context;
  }

  /** @internal */
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
      allocateId: (parentId) => this.#ids.allocate(parentId),
      giveBackId: (contextId) => this.#ids.giveBack(contextId),
      mayProvision: (options) => this.#runtimes.mayProvision(options),
      during: (connect, options, stack) => {
        this.modules.warmUp();
        return this.#diagnostics.during(connect, options, stack);
      },
      onStarted: (context, options, facts) => {
        this.#diagnostics.connected(context, options, facts);
        this.#runtimes.note(context, options);
        if (facts.method === "local") this.addShortWay(context, options.via);
      },
      children: () => this.ownChildren(),
      openProvisioner: (options) => this.#runtimes.forConnect(options),
    });
  }

  /** Lets frequent calls to a context take a short way, if one is possible. */
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

  /** Ends a context that can no longer be used. */
  private giveUp(context: Context, reason: string): void {
    const why = `${context.name}: ${reason}`;
    log.error(why);
    this.endRespondents([context.contextId], why);
    void this.shutdownContext(context, false);
  }

  private ownChildren(): Children {
    const { Children } = startHere as StartHere;
    this.#children ??= new Children(this, CHILD_GRACE_MS, this.#keepaliveMs, (contextId, { name, ready }) => {
      this.noteContext(new Context(this, contextId, nameBelow(undefined, name)), ready.nodeVersion);
      log.debug(`Connected ${name}: context ${contextId}, node ${ready.nodeVersion} on ${ready.platform}`);
    });
    return this.#children;
  }

  private detaching(frame: Frame): void {
    if (this.#children !== undefined) this.#children.detaching(frame);
    else this.answerDead(frame, `Cannot detach context ${frame.srcId}: this process has started none`);
  }

  /** Registers a context that this process, or a context below it, has started. */
  private noteContext(context: Context, nodeVersion: string): void {
    this.adopt(context);
    this.modules.addTarget(context.contextId, nodeVersion);
    this.#diagnostics.started(context, this.connector.pending(context.contextId) !== undefined);
    this.connector.noteStarted(context, nodeVersion);
  }

  private onRouteAdded(contextId: number, name: string, nodeVersion: string): void {
    // The id was claimed, so it has an owner.
    const via = this.contextById(this.#ids.ownerOf(contextId) as number);
    this.noteContext(new Context(this, contextId, nameBelow(via, name), via), nodeVersion);
  }

  private closeAll(): Promise<void> {
    this.#shutdown ??= this.closeContexts();
    return this.#shutdown;
  }

  private async closeContexts(): Promise<void> {
    localRouters.delete(this);
    this.broker.hold();
    // Services stop first, while their running methods can still reach the contexts they work with.
    await stopServices(this, SERVICES_GRACE_MS);
    await Promise.all([...this.#owned].map((closable) => closable.shutdown()));
    if (this.#diagnostics.isProfiling) await this.#diagnostics.collect();
    this.#shortWays?.close();
    // Even without children: listeners use the reaper, too.
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
