import { hostname, userInfo } from "node:os";
import { Broker } from "../core/broker.ts";
import { Context } from "../core/context.ts";
import type { ConnectionFacts } from "../core/describe.ts";
import { installFeatures } from "../core/features.ts";
import type { Peer } from "../core/frame-router.ts";
import { IdAllocator } from "../core/id-allocator.ts";
import { getLogger, logLevel } from "../core/log.ts";
import type { Message } from "../core/message.ts";
import { RouteMonitor } from "../core/route-monitor.ts";
import { CoreRouter } from "../core/router.ts";
import { CancelledError } from "../errors.ts";
import { ModuleResponder } from "../loader/responder.ts";
import { receiveLogs } from "../logging/log-receiver.ts";
import { serviceCallsOf } from "../service/client.ts";
import { stopServices } from "../service/router-services.ts";
import { Handle } from "../wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../wire/references.ts";
import { Secret } from "../wire/secret.ts";
import type { BuildahOptions } from "./buildah.ts";
import { type ChildIdentity, Children, type StartedChild } from "./children.ts";
import { connectErrorOf } from "./connect-error.ts";
import { Diagnostics } from "./diagnostics.ts";
import type { DoasOptions } from "./doas.ts";
import type { DockerOptions } from "./docker.ts";
import type { ExecOptions } from "./exec.ts";
import type { IncusOptions } from "./incus.ts";
import type { JailOptions } from "./jail.ts";
import type { KubectlOptions } from "./kubectl.ts";
import type { LocalOptions } from "./local.ts";
import type { LxcOptions } from "./lxc.ts";
import type { LxdOptions } from "./lxd.ts";
import type { ConnectionMethod, ConnectOptions } from "./method.ts";
import { methods } from "./methods.ts";
import type { ConnectRequest } from "./parent-role.ts";
import type { PodmanOptions } from "./podman.ts";
import { Semaphore } from "./semaphore.ts";
import type { SetnsOptions } from "./setns.ts";
import type { SshOptions } from "./ssh.ts";
import type { RouterStats } from "./stats.ts";
import type { SuOptions } from "./su.ts";
import type { SudoOptions } from "./sudo.ts";
import type { ThreadOptions } from "./thread.ts";

export interface RouterOptions {
  /** The largest message in bytes; 128 MiB by default. Inherited by every context. */
  readonly maxMessageBytes?: number;
  /** Whether contexts may reach only those above them; false by default. Inherited. */
  readonly unidirectional?: boolean;
  /** How many connects may be under way at once; 32 by default. */
  readonly connectConcurrency?: number;
  /** A child that is silent so long is asked for a sign of life; after three such intervals it is taken for dead. 15,000 by default, 0 never asks. */
  readonly keepaliveMs?: number;
}

/** Of the five seconds of design.md section 10; the rest is for SIGTERM and SIGKILL. */
const CHILD_GRACE_MS = 3500;
/** How long methods of services that are under way, and `onShutdown`, are waited for before that. */
const SERVICES_GRACE_MS = 500;
/** The library's own messages, reasons and configuration among them, must fit. */
const MIN_MESSAGE_BYTES = 64 * 1024;
const DEFAULT_KEEPALIVE_MS = 15_000;
const DEFAULT_CONNECT_CONCURRENCY = 32;

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
  readonly #children: Children;
  readonly #diagnostics: Diagnostics;
  /** Contexts that are threads, wherever. */
  readonly #threads: Set<number> = new Set();
  readonly #ids: IdAllocator = new IdAllocator();
  readonly #disown: () => void;
  #shutdown: Promise<void> | undefined;

  /** Without a broker it makes its own, which then ends with it. */
  constructor(broker?: Broker, options: RouterOptions = {}) {
    super(broker ?? new Broker(), { ...options, contextId: 0 });
    if (this.maxMessageBytes < MIN_MESSAGE_BYTES) {
      throw new RangeError(
        `Cannot make router: maxMessageBytes must be at least ${MIN_MESSAGE_BYTES}, got ${this.maxMessageBytes}`,
      );
    }
    this.#ownsBroker = broker === undefined;
    this.#connects = new Semaphore(options.connectConcurrency ?? DEFAULT_CONNECT_CONCURRENCY);
    this.modules = new ModuleResponder(this);
    this.functions = this.modules;
    installFeatures(this, serviceCallsOf);
    receiveLogs(this);
    const forget = this.onContextsLost;
    this.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const id of contextIds) {
        this.modules.forget(id);
        this.#threads.delete(id);
      }
    };
    this.isAbove = (contextId, belowId) => {
      let context: Context | undefined = this.contextById(belowId);
      while (context !== undefined && context.contextId !== contextId) context = context.via;
      return context !== undefined;
    };
    this.#children = new Children(this, CHILD_GRACE_MS, options.keepaliveMs ?? DEFAULT_KEEPALIVE_MS);
    this.#diagnostics = new Diagnostics(this, (contextId) => this.#children.linkState(contextId));
    new RouteMonitor(this, {
      mayClaim: (contextId, from) => this.mayClaim(contextId, from),
      onRouteAdded: (contextId, name, from) => this.onRouteAdded(contextId, name, from),
      onFarewell: (contextId, reason) => this.#children.noteFarewell(contextId, reason),
    });
    this.addHandler((message) => this.allocateIds(message), { handle: Handle.ALLOCATE_ID, service: true });
    this.#disown = this.broker.own({ shutdown: () => this.closeAll() });
  }

  /** Starts a context as a child process of this one, or of the context given as `via`. */
  local(options: LocalOptions = {}): Promise<Context> {
    return this.start("local", options);
  }

  /** Starts a context on another machine with the real `ssh`, `~/.ssh/config` included. */
  ssh(options: SshOptions): Promise<Context> {
    return this.start("ssh", options);
  }

  /** Becomes another user with sudo. */
  sudo(options: SudoOptions = {}): Promise<Context> {
    return this.start("sudo", options);
  }

  /** Becomes another user with su. */
  su(options: SuOptions = {}): Promise<Context> {
    return this.start("su", options);
  }

  /** Becomes another user with doas. */
  doas(options: DoasOptions = {}): Promise<Context> {
    return this.start("doas", options);
  }

  /** Enters a running Docker container, or runs one of an image for as long as the context lives. */
  docker(options: DockerOptions): Promise<Context> {
    return this.start("docker", options);
  }

  podman(options: PodmanOptions): Promise<Context> {
    return this.start("podman", options);
  }

  buildah(options: BuildahOptions): Promise<Context> {
    return this.start("buildah", options);
  }

  kubectl(options: KubectlOptions): Promise<Context> {
    return this.start("kubectl", options);
  }

  lxc(options: LxcOptions): Promise<Context> {
    return this.start("lxc", options);
  }

  lxd(options: LxdOptions): Promise<Context> {
    return this.start("lxd", options);
  }

  incus(options: IncusOptions): Promise<Context> {
    return this.start("incus", options);
  }

  /** Enters a FreeBSD jail. */
  jail(options: JailOptions): Promise<Context> {
    return this.start("jail", options);
  }

  /** Enters the namespaces of a container with nsenter, whatever manages it. */
  setns(options: SetnsOptions): Promise<Context> {
    return this.start("setns", options);
  }

  /** Starts a context with any command line. */
  exec(options: ExecOptions): Promise<Context> {
    return this.start("exec", options);
  }

  /**
   * Starts a context with a connection method of your own. Only from this process: another one does not have its code; there, use
   * {@link exec}.
   */
  async connect<O extends ConnectOptions>(method: ConnectionMethod<O>, options: O): Promise<Context> {
    if (options.via !== undefined && options.via.contextId !== this.contextId) {
      throw new TypeError(
        `Cannot connect with ${method.name}() via ${options.via.name}: a method of your own is not known there; use exec({ command, via })`,
      );
    }
    return await this.start(method as unknown as ConnectionMethod, options);
  }

  /** Starts a context as a thread of this process, or of the process of the context given as `via`. */
  thread(options: ThreadOptions = {}): Promise<Context> {
    return this.start("thread", options);
  }

  /**
   * Cuts the link to a child of this process, without asking it to end; it ends because its link did, and its process is reaped. Later
   * calls fail, no route leads there. For a context behind another, or one that is gone, it does nothing.
   */
  async disconnect(context: Context): Promise<void> {
    this.broker.hold();
    await this.#children.disconnect(context.contextId);
    this.broker.release();
  }

  /** Counters since this router was made. */
  getStats(): RouterStats {
    return { ...this.modules.stats, ...this.#children.stats, ...this.#diagnostics.stats };
  }

  /**
   * Writes all log records, a line per frame included, to `<tmp>/mitogen.<pid>.<time>.log`, and has every context that is started from
   * now on do the same in its own temporary folder; answers the path. Throws what opening a file throws. docs/debugging.md
   */
  enableDebug(): string {
    return this.#diagnostics.enableDebug(callerStack(this.enableDebug)());
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
  shutdown(): Promise<void> {
    return this.#ownsBroker ? this.broker.shutdown() : this.closeAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  override async shutdownContext(context: Context, wait: boolean): Promise<void> {
    if (context.goneReason !== undefined) return;
    const ended = this.endContext(context);
    if (!wait) return;
    this.broker.hold();
    await ended;
    this.broker.release();
  }

  private async endContext(context: Context): Promise<void> {
    const { contextId, via } = context;
    if (this.#diagnostics.isProfiling) await this.#diagnostics.collect(context);
    if (this.#children.has(contextId)) {
      await this.#children.end(contextId);
      return;
    }
    if (via === undefined) {
      await super.shutdownContext(context, true);
      return;
    }
    // The process is its parent's: only that can end it if it hangs, and knows when it is reaped.
    await via.request(Handle.END_CHILD, [contextId]).catch(() => undefined);
    if (context.goneReason === undefined) await context.disconnected;
  }

  /** `method` is a name of the table, which every context has, or a method of the program's own. */
  private async start(method: string | ConnectionMethod, options: ConnectOptions): Promise<Context> {
    const methodName = typeof method === "string" ? method : method.name;
    const remoteName = options.remoteName ?? defaultRemoteName();
    if (/[/\\]/.test(remoteName)) {
      throw new RangeError(`Cannot connect: remoteName ${JSON.stringify(remoteName)} may not hold slashes`);
    }
    if (options.name !== undefined && (options.name === "" || options.name.length >= MAX_CONTEXT_NAME)) {
      throw new RangeError(
        `Cannot connect: a name has 1 to ${MAX_CONTEXT_NAME - 1} characters, got "${options.name}"`,
      );
    }
    this.broker.hold();
    const stack = callerStack(this.start);
    try {
      return await this.#connects.run(async () => {
        if (this.#shutdown !== undefined || this.broker.isShutDown) {
          throw new CancelledError(`Cannot connect with ${methodName}(): the router has been shut down`);
        }
        const via = options.via;
        const contextId = this.#ids.allocate(via?.contextId ?? this.contextId);
        const identity = { contextId, remoteName, logLevel: logLevel() };
        try {
          if (method === "thread") this.#threads.add(contextId);
          const connect =
            via === undefined || via.contextId === this.contextId
              ? this.connectHere(method, options, identity)
              : this.connectVia(via, methodName, options, identity);
          return await this.#diagnostics.during(connect, options.debug === true, stack);
        } finally {
          this.#ids.release(contextId);
        }
      });
    } finally {
      this.broker.release();
    }
  }

  private async connectHere(
    method: string | ConnectionMethod,
    options: ConnectOptions,
    identity: ChildIdentity,
  ): Promise<Context> {
    const { contextId } = identity;
    const onConnected = ({ name, ready, argv }: StartedChild): void => {
      const context = new Context(this, contextId, fitName(name));
      this.adopt(context);
      this.modules.addTarget(contextId, ready.nodeVersion);
      const methodName = typeof method === "string" ? method : method.name;
      this.#diagnostics.connected(context, options, { method: methodName, argv, ...ready });
      log.debug(`Connected ${name}: context ${contextId}, node ${ready.nodeVersion} on ${ready.platform}`);
    };
    if (method === "thread") this.#children.startThread(options, identity, onConnected);
    else {
      const known = typeof method === "string" ? (methods[method] as ConnectionMethod) : method;
      const starting = this.#children.start(known, options, identity, onConnected);
      this.modules.warmUp();
      await starting;
    }
    return this.contextById(contextId);
  }

  /** Has another context start it. The answer comes behind the route, so the context is known by then. */
  private async connectVia(
    via: Context,
    methodName: string,
    options: ConnectOptions,
    identity: ChildIdentity,
  ): Promise<Context> {
    if (this.#threads.has(via.contextId)) {
      throw new TypeError(
        `Cannot connect with ${methodName}() via ${via.name}: a thread can have no children; use the context it belongs to`,
      );
    }
    this.modules.sendParentRole(via.contextId);
    const { via: _, password, ...plain } = options as ConnectOptions & { password?: unknown };
    const passwordHandle = password === undefined ? 0 : this.offerPassword(via, password);
    try {
      const request: ConnectRequest = [methodName, plain, identity, passwordHandle];
      const answer = (await via.request(Handle.CONNECT_CHILD, request)) as Record<string, unknown>;
      if ("failed" in answer) throw connectErrorOf(answer.failed, via.name);
      const facts = startedFacts(answer.connected);
      this.modules.addTarget(identity.contextId, facts.nodeVersion);
      const context = this.contextById(identity.contextId);
      this.#diagnostics.connected(context, options, { method: methodName, ...facts });
      return context;
    } finally {
      if (passwordHandle !== 0) this.unlisten(passwordHandle);
    }
  }

  /** A handle at which `via`, and nobody else, may ask for the password when its prompt appears. */
  private offerPassword(via: Context, password: unknown): number {
    const answer = async (message: Message): Promise<void> => {
      const given = typeof password === "function" ? await password() : password;
      message.reply(given instanceof Secret ? given : new Secret(String(given)));
    };
    return this.addHandler(
      (message) => {
        answer(message).catch((error) => this.answerDead(message, `the password was not given: ${error}`));
      },
      { respondent: via, service: true },
    );
  }

  private mayClaim(contextId: number, from: Peer): boolean {
    const owner = this.#ids.ownerOf(contextId);
    return owner !== undefined && this.peerOf(owner) === from;
  }

  private onRouteAdded(contextId: number, name: string, from: Peer): void {
    const owner = this.#ids.ownerOf(contextId) ?? from.contextId;
    const via = this.contextById(owner);
    this.adopt(new Context(this, contextId, fitName(`${via.name}.${name}`), via));
  }

  /** Answers [start, end): ids for the contexts that a context starts on its own. */
  private allocateIds(message: Message): void {
    try {
      message.reply(this.#ids.allocateBlock(message.srcId));
    } catch (error) {
      this.answerDead(message, (error as Error).message);
    }
  }

  private closeAll(): Promise<void> {
    this.#shutdown ??= this.closeContexts();
    return this.#shutdown;
  }

  private async closeContexts(): Promise<void> {
    this.broker.hold();
    // First, while the methods that run can still reach the contexts they work with.
    await stopServices(this, SERVICES_GRACE_MS);
    if (this.#diagnostics.isProfiling) await this.#diagnostics.collect();
    await this.#children.endAll();
    this.endHandlers("The router was shut down");
    this.#diagnostics.end();
    this.#disown();
    this.broker.release();
  }
}

/** [name, node version, [pid, platform, architecture, argv]] of a child behind a hop: the hop's claims, of which anything may be wrong. */
function startedFacts(
  connected: unknown,
): { nodeVersion: string } & Pick<ConnectionFacts, "pid" | "platform" | "arch" | "argv"> {
  const [, nodeVersion, more] = connected as [string, unknown, unknown];
  const [pid, platform, arch, argv] = Array.isArray(more) ? more : [];
  return {
    nodeVersion: String(nodeVersion),
    pid: Number(pid),
    platform: String(platform),
    arch: String(arch),
    argv: Array.isArray(argv) ? argv.map(String) : [],
  };
}

/** Makes the lines of the stack above `method`; only the frames are captured now. */
function callerStack(method: (...args: never[]) => unknown): () => string {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, method);
  return () => (site.stack ?? "").replace(/^.*\n/, "");
}

/** Names travel, and are part of every log line: the end of a long chain tells most. */
function fitName(name: string): string {
  return name.length < MAX_CONTEXT_NAME ? name : `…${name.slice(-(MAX_CONTEXT_NAME - 2))}`;
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
