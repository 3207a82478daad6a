import { configFrame } from "../../bootstrap/config-frame.ts";
import type { Ready } from "../../bootstrap/ready.ts";
import type { LinkState } from "../../core/describe.ts";
import { NO_TRAFFIC, sumOf, type Traffic } from "../../links/traffic.ts";
import { getLogger } from "../../logging/log.ts";
import { reaper } from "../../process/reaper.ts";
import type { FrameRouter } from "../../routing/frame-router.ts";
import { onAbort } from "../../waiting/wait.ts";
import { type Frame } from "../../wire/frame.ts";
import { Handle } from "../../wire/handles.ts";
import { localMethod } from "../methods/local.ts";
import type { ConnectionMethod, ConnectOptions } from "../methods/method.ts";
import { methods } from "../methods/methods.ts";
import { startThreadChild, ThreadChild, type ThreadOptions } from "../methods/thread.ts";
import type { OpenProvisioner } from "../runtime/plan.ts";
import { ChildLink, FAREWELL_CHARACTERS } from "./child-link.ts";
import { ConnectAttempt } from "./connect-attempt.ts";
import { Keepalive } from "./keepalive.ts";
import { cancelled, RunningConnect, SIGNAL_ABORTED } from "./running-connect.ts";
import { type EarlierTries, NodelessTargets, withSecondTries } from "./second-tries.ts";

/** What the caller decides about a new context, whichever process starts it. */
export interface ChildIdentity {
  readonly contextId: number;
  /** Shown in the target's process list. */
  readonly remoteName: string;
  /** A `LogLevel`. */
  readonly logLevel: number;
}

/** A context that has been started. */
export interface StartedChild {
  readonly name: string;
  readonly ready: Ready;
  /** The command that was run; empty for a thread. */
  readonly argv: readonly string[];
}

const log = getLogger("mitogen.connect");
/** The longest interval of Node's timers. */
const MAX_INTERVAL_MS = 0x7fffffff;
/**
 * The contexts that this process has started: their processes and links. Owned by the master's router, or by
 * the broker thread of a child that is a parent.
 */
export class Children {
  readonly #router: FrameRouter;
  /** How long a child may take to end by itself. */
  readonly #graceMs: number;
  readonly #onConnected: (contextId: number, child: StartedChild) => void;
  /** Running connects by the id of the new context. */
  readonly #connects: Map<number, RunningConnect> = new Map();
  readonly #links: Map<number, ChildLink | ThreadChild> = new Map();
  readonly #nodeless: NodelessTargets = new NodelessTargets();
  #past: Traffic = NO_TRAFFIC;
  /** The same in the whole tree. */
  readonly #keepaliveMs: number;
  readonly #keepalive: Keepalive;
  readonly #unreaped: Set<Promise<void>> = new Set();
  #startedCount = 0;
  #isClosed = false;

  /** `onConnected` runs when a context is routed, before any message of it is delivered. */
  constructor(
    router: FrameRouter,
    graceMs: number,
    keepaliveMs: number,
    onConnected: (contextId: number, child: StartedChild) => void,
  ) {
    this.#onConnected = onConnected;
    this.#keepaliveMs = Math.min(keepaliveMs, MAX_INTERVAL_MS);
    this.#keepalive = new Keepalive(router, this.#links, this.#keepaliveMs);
    this.#router = router;
    this.#graceMs = graceMs;
    router.lossListeners.push((contextIds) => {
      for (const id of contextIds) {
        this.#past = sumOf(this.#past, this.trafficOf(id));
        const link = this.#links.get(id);
        this.#links.delete(id);
        if (link instanceof ChildLink) this.awaitReaped(link);
      }
      if (this.#links.size === 0) this.#keepalive.stop();
    });
  }

  /**
   * Starts a context: `method` is a name from the table, "thread", or a method of the program's own. Rejects as the
   * methods of `Router` do. `openProvisioner` is asked if the target has no node.
   */
  async start(
    method: string | ConnectionMethod,
    options: ConnectOptions,
    identity: ChildIdentity,
    openProvisioner?: OpenProvisioner,
  ): Promise<StartedChild> {
    if (method === "thread") {
      return await this.cancellable("thread", options, identity, (connect) =>
        this.beginThread(connect, options, identity),
      );
    }
    const known = typeof method === "string" ? (methods[method] as ConnectionMethod) : method;
    return await this.cancellable(known.name, options, identity, (connect) =>
      withSecondTries(connect, known, options, openProvisioner, this.#nodeless, (earlier) =>
        this.startOnce(connect, known, options, identity, earlier, openProvisioner),
      ),
    );
  }

  /** Runs a connect that its signal, {@link end} and {@link endAll} can cancel. */
  private async cancellable(
    method: string,
    { signal }: Pick<ConnectOptions, "signal">,
    { contextId }: ChildIdentity,
    run: (connect: RunningConnect) => Promise<StartedChild>,
  ): Promise<StartedChild> {
    const connect = new RunningConnect(method);
    const unwatch = signal && onAbort(signal, () => void connect.cancel(SIGNAL_ABORTED, signal.reason));
    this.#connects.set(contextId, connect);
    try {
      return await run(connect);
    } finally {
      this.#connects.delete(contextId);
      unwatch?.();
    }
  }

  private async startOnce<O extends ConnectOptions>(
    connect: RunningConnect,
    method: ConnectionMethod<O>,
    options: O,
    identity: ChildIdentity,
    earlier: EarlierTries,
    openProvisioner: OpenProvisioner | undefined,
  ): Promise<StartedChild> {
    // Created first, so that options without a valid command line are refused before anything else happens.
    const attempt = new ConnectAttempt(method, options, earlier, openProvisioner);
    if (this.#isClosed) throw cancelled(method.name, "the router has been shut down");
    connect.begin(attempt);
    try {
      const connected = await attempt.run(this.configOf(identity, options, method.isLocal));
      const { tool, ready, rest, argv } = connected;
      const child = { name: nameOf(method, options, ready.pid), ready, argv };
      const isDirect = method === localMethod || ready.pid === tool.pid;
      const link = new ChildLink(child.name, connected, this.#router.maxMessageBytes, isDirect);
      this.adopt(link, child, identity);
      link.receive(rest);
      return child;
    } finally {
      this.awaitReaped(attempt);
    }
  }

  /** Starts a context that is a thread of this process. */
  private async beginThread(
    connect: RunningConnect,
    options: ThreadOptions,
    identity: ChildIdentity,
  ): Promise<StartedChild> {
    const name = options.name ?? `thread.${identity.contextId}`;
    const starting = startThreadChild(name);
    const end = ({ child }: { child: ThreadChild }): Promise<void> => {
      child.abort();
      return child.gone;
    };
    connect.begin({ cancel: () => starting.then(end).catch(() => undefined) });
    const { child: link, ready } = await starting;
    connect.begin(undefined); // throws if it was cancelled meanwhile
    const config = { ...this.configOf(identity, options, true), isThread: true };
    const child = { name, ready, argv: [] };
    // The configuration must be the first frame. It cannot be routed, because the route does not exist yet.
    link.send(configFrame(config));
    this.adopt(link, child, identity);
    return child;
  }

  private adopt(link: ChildLink | ThreadChild, child: StartedChild, { contextId }: ChildIdentity): void {
    this.#links.set(contextId, link);
    this.#keepalive.start();
    this.#startedCount += 1;
    this.#router.attach(link, contextId, "child");
    this.#onConnected(contextId, child);
  }

  private configOf(
    identity: ChildIdentity,
    options: Pick<ConnectOptions, "unidirectional">,
    isLocal: boolean | undefined,
  ): Record<string, unknown> {
    const { contextId, parentIds, maxMessageBytes, unidirectional } = this.#router;
    return {
      ...identity,
      parentIds: [contextId, ...parentIds],
      maxMessageBytes,
      // Inherited, so that a restricted context has no unrestricted children.
      unidirectional: unidirectional || options.unidirectional === true,
      keepaliveMs: this.#keepaliveMs,
      // A local child does not ask, because the kernel tells it when this process ends. A program that is
      // stopped or blocked for long must not lose its contexts.
      ...(isLocal === true || this.#keepaliveMs === 0 ? {} : { asksParent: true }),
    };
  }

  has(contextId: number): boolean {
    return this.#links.has(contextId);
  }

  /** How many contexts there are now, how many there were in all, and the traffic of their links. */
  get stats(): Traffic & { contextCount: number; connectCount: number } {
    let traffic = this.#past;
    for (const id of this.#links.keys()) traffic = sumOf(traffic, this.trafficOf(id));
    return { contextCount: this.#links.size, connectCount: this.#startedCount, ...traffic };
  }

  /** The state of the link to a context. Undefined if the context is no child of this process. */
  linkState(contextId: number): LinkState | undefined {
    const link = this.#links.get(contextId);
    if (link === undefined) return undefined;
    const state: LinkState = { peer: link.name, ...link.traffic };
    if (link instanceof ThreadChild) return state;
    return { ...state, queuedBytes: link.queuedBytes, lastHeardAt: new Date(link.lastHeardAt) };
  }

  /** A child says why it is about to go, and waits for the end of the link. */
  noteFarewell(contextId: number, reason: string): void {
    const link = this.#links.get(contextId);
    if (link === undefined) return;
    link.farewell = reason.slice(0, FAREWELL_CHARACTERS);
    if (!(link instanceof ChildLink)) return;
    // The farewell is the last message of a detached child.
    if (link.isDetached) link.abort(reason);
    else link.close();
  }

  /**
   * A child asks to be detached: once it has sent its farewell, it lives on without this process.
   * docs/protocol.md#detaching
   */
  detaching(frame: Frame): void {
    const { srcId } = frame;
    const link = this.#links.get(srcId);
    const isProcess = link instanceof ChildLink;
    if (!isProcess || link.isDetached) {
      const why = isProcess ? "it has been detached before" : "it is not a child process of this one";
      log.warning(`Refused to detach context ${srcId}: ${why}`);
      this.#router.answerDead(frame, `Cannot detach context ${srcId}: ${why}`);
      return;
    }
    link.isDetached = true;
    if (frame.replyTo !== 0) this.send(srcId, frame.replyTo, 0);
  }

  /**
   * Ends a context, even if it hangs, or cancels its connect. Resolves when the process is reaped and its
   * routes are gone. Never rejects.
   */
  async end(contextId: number): Promise<void> {
    await this.#connects.get(contextId)?.cancel("the caller gave it up");
    const link = this.#links.get(contextId);
    if (link === undefined) return;
    this.send(contextId, Handle.SHUTDOWN, 0);
    await link.end(this.#graceMs);
  }

  /**
   * Cuts the link to a context without asking it to end. Resolves when the process is reaped and its routes
   * are gone. Never rejects.
   */
  async disconnect(contextId: number): Promise<void> {
    const link = this.#links.get(contextId);
    link?.abort(`${link.name}: was disconnected`);
    await link?.gone;
  }

  /** Cancels all connects and ends all contexts. Nothing can be started from then on. */
  async endAll(): Promise<void> {
    this.#isClosed = true;
    const why = "the router was shut down during the connect";
    const connects = [...this.#connects.values()].map((connect) => connect.cancel(why));
    const ends = [...this.#links.keys()].map((id) => this.end(id));
    await Promise.all([...connects, ...ends]);
    await Promise.all([...this.#unreaped]);
    await reaper.settle();
  }

  /** Shutdown also waits for processes whose connects have failed or whose links have broken. */
  private awaitReaped({ reaped }: Pick<ChildLink, "reaped">): void {
    this.#unreaped.add(reaped);
    void reaped.then(() => this.#unreaped.delete(reaped));
  }

  /** Sends a message with an empty body. */
  private send(dstId: number, handle: number, replyTo: number): void {
    this.#router.routeFrame(this.#router.frame(dstId, handle, [], replyTo));
  }

  private trafficOf(contextId: number): Traffic {
    return this.#links.get(contextId)?.traffic ?? NO_TRAFFIC;
  }
}

/**
 * `contextName` of the program's own method may throw. This must not lose a process that has been started.
 */
function nameOf<O extends ConnectOptions>(method: ConnectionMethod<O>, options: O, pid: number): string {
  if (options.name !== undefined) return options.name;
  try {
    const name: unknown = method.contextName(options, pid);
    if (typeof name === "string" && name !== "") return name;
  } catch {
    // A method that throws gives no name.
  }
  return `${method.name}.${pid}`;
}
