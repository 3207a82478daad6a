import { configFrame } from "../bootstrap/config-frame.ts";
import type { Ready } from "../bootstrap/ready.ts";
import type { LinkState } from "../core/describe.ts";
import type { FrameRouter, Peer } from "../core/frame-router.ts";
import { getLogger } from "../core/log.ts";
import { CancelledError, type ConnectDetails } from "../errors.ts";
import { Encoding, type Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { ConnectAttempt, type EarlierTries } from "./child-connection.ts";
import { ChildLink } from "./child-link.ts";
import { Keepalive } from "./keepalive.ts";
import { localMethod } from "./local.ts";
import { type ConnectionMethod, type ConnectOptions, DEFAULT_CONNECT_MS } from "./method.ts";
import { reaper } from "./reaper.ts";
import type { OpenProvisioner } from "./runtime/plan.ts";
import { startThreadChild, ThreadChild, type ThreadOptions } from "./thread.ts";
import { NO_TRAFFIC, sumOf, type Traffic } from "./traffic.ts";

/** What the requester of a context decides, wherever it is started. */
export interface ChildIdentity {
  readonly contextId: number;
  /** Shown in the target's process list. */
  readonly remoteName: string;
  /** A `LogLevel`. */
  readonly logLevel: number;
}

/** A context that was started. */
export interface StartedChild {
  readonly name: string;
  readonly ready: Ready;
  /** The command that was run; empty for a thread. */
  readonly argv: readonly string[];
}

const log = getLogger("mitogen.connect");
/** Tries again after a random part of this, doubled every time: many that were turned away together must not come back together. */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;
const MAX_RETRIES = 15;
/** Node's timers take no more. */
const MAX_INTERVAL_MS = 0x7fffffff;
/** What is forgotten costs one more try. */
const MAX_NODELESS = 1000;
/** How much of a child's parting words is kept. */
const FAREWELL_CHARACTERS = 8192;

/**
 * The contexts that one process has started itself: their processes and links. Owned by the master's router, or by the broker
 * thread of a child that is a parent.
 */
export class Children {
  readonly #router: FrameRouter;
  /** How long a child may take to end by itself. */
  readonly #graceMs: number;
  /** Connects under way, and waits between two tries, by the id that was given to the context. */
  readonly #attempts: Map<number, { cancel(why: string): Promise<void> }> = new Map();
  readonly #links: Map<number, ChildLink | ThreadChild> = new Map();
  /** Targets that have a node which is of no use: it is not tried again. */
  readonly #nodeless: Set<string> = new Set();
  #past: Traffic = NO_TRAFFIC;
  /** Of the program's router, and of those of all its contexts. */
  readonly #keepaliveMs: number;
  readonly #keepalive: Keepalive;
  readonly #unreaped: Set<Promise<void>> = new Set();
  #startedCount = 0;
  #isClosed = false;

  constructor(router: FrameRouter, graceMs: number, keepaliveMs: number) {
    this.#keepaliveMs = Math.min(keepaliveMs, MAX_INTERVAL_MS);
    this.#keepalive = new Keepalive(router, this.#links, this.#keepaliveMs);
    this.#router = router;
    this.#graceMs = graceMs;
    const forget = router.onContextsLost;
    router.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const id of contextIds) {
        this.#past = sumOf(this.#past, this.trafficOf(id));
        const link = this.#links.get(id);
        this.#links.delete(id);
        if (link instanceof ChildLink) this.awaitReaped(link);
      }
      if (this.#links.size === 0) this.#keepalive.stop();
    };
  }

  /**
   * Starts one; rejects as `Router` methods do. `onConnected` runs when it is routed, before anything of it is delivered. `openProvisioner` is
   * asked if the target has no node.
   */
  async start<O extends ConnectOptions>(
    method: ConnectionMethod<O>,
    options: O,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
    openProvisioner?: OpenProvisioner,
  ): Promise<StartedChild> {
    let startedAt = Date.now();
    let deadline = startedAt + (options.timeoutMs || DEFAULT_CONNECT_MS);
    let wasSilent = false;
    const target = openProvisioner && targetOf(method, options);
    let isWithoutNode = target !== undefined && this.#nodeless.has(target);
    for (let turn = 1; ; turn++) {
      try {
        const earlier = { startedAt, wasSilent, isWithoutNode };
        return await this.startOnce(method, options, identity, earlier, onConnected, openProvisioner);
      } catch (error) {
        if (!isWithoutNode && isNodeUseless(error) && (await openProvisioner?.()) !== undefined) {
          log.debug(`${method.name}: the target has a node that is of no use, and is given another`);
          isWithoutNode = true;
          if (target !== undefined && this.#nodeless.size < MAX_NODELESS) this.#nodeless.add(target);
          startedAt = Date.now();
          deadline = startedAt + (options.timeoutMs || DEFAULT_CONNECT_MS);
          continue;
        }
        const delayMs = Math.random() * Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** turn);
        const isLast = turn > MAX_RETRIES || Date.now() + delayMs >= deadline;
        if (isLast || error instanceof CancelledError || !wasTurnedAway(method, error)) throw error;
        wasSilent = (error as { details?: ConnectDetails }).details?.stderr === "";
        log.debug(`${method.name}: turned away, trying again in ${Math.round(delayMs)} ms`);
        await this.pause(delayMs, method, identity);
      }
    }
  }

  private async startOnce<O extends ConnectOptions>(
    method: ConnectionMethod<O>,
    options: O,
    identity: ChildIdentity,
    earlier: EarlierTries,
    onConnected: (child: StartedChild, peer: Peer) => void,
    openProvisioner: OpenProvisioner | undefined,
  ): Promise<StartedChild> {
    // Made first: options that make no command line are refused before anything else happens.
    const attempt = new ConnectAttempt(method, options, earlier, openProvisioner);
    if (this.#isClosed) throw cancelled(method, "the router has been shut down");
    this.#attempts.set(identity.contextId, attempt);
    try {
      const { tool, ready, rest, argv } = await attempt.run(this.configOf(identity, options, method.isLocal));
      const child = { name: nameOf(method, options, ready.pid), ready, argv };
      const isDirect = method === localMethod || ready.pid === tool.pid;
      const link = new ChildLink(child.name, tool, this.#router.maxMessageBytes, isDirect);
      this.adopt(link, child, identity, onConnected);
      link.receive(rest);
      return child;
    } finally {
      this.#attempts.delete(identity.contextId);
      this.awaitReaped(attempt);
    }
  }

  /** Waits before another try. Rejects with a CancelledError when the connect is given up meanwhile. */
  private async pause(
    ms: number,
    method: Pick<ConnectionMethod, "name">,
    { contextId }: ChildIdentity,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(resolve, ms);
        this.#attempts.set(contextId, { cancel: async (why) => reject(cancelled(method, why)) });
      });
    } finally {
      clearTimeout(timer);
      this.#attempts.delete(contextId);
    }
  }

  /** The same for a thread of this process. */
  async startThreadChild(
    options: ThreadOptions,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
  ): Promise<StartedChild> {
    const name = options.name ?? `thread.${identity.contextId}`;
    const starting = startThreadChild(name);
    const end = ({ child }: { child: ThreadChild }): Promise<void> => {
      child.abort();
      return child.gone;
    };
    const attempt = { cancel: () => starting.then(end).catch(() => undefined) };
    this.#attempts.set(identity.contextId, attempt);
    const { child: link, ready } = await starting.finally(() => this.#attempts.delete(identity.contextId));
    if (this.#isClosed) throw cancelled({ name: "thread" }, "the router has been shut down");
    const config = { ...this.configOf(identity, options, true), isThread: true };
    const child = { name, ready, argv: [] };
    // The configuration goes first: the route does not exist before.
    link.send(configFrame(config));
    this.adopt(link, child, identity, onConnected);
    return child;
  }

  private adopt(
    link: ChildLink | ThreadChild,
    child: StartedChild,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
  ): void {
    this.#links.set(identity.contextId, link);
    this.#keepalive.start();
    this.#startedCount += 1;
    onConnected(child, this.#router.attach(link, identity.contextId, "child"));
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
      // Inherited: whoever is restricted can have no unrestricted children.
      unidirectional: unidirectional || options.unidirectional === true,
      keepaliveMs: this.#keepaliveMs,
      // Where the kernel tells of our end, a program that is stopped or blocked for long must not lose its contexts for it.
      ...(isLocal === true || this.#keepaliveMs === 0 ? {} : { asksParent: true }),
    };
  }

  has(contextId: number): boolean {
    return this.#links.has(contextId);
  }

  /** How many there are now, were in all, and what went over their links. */
  get stats(): Traffic & { contextCount: number; connectCount: number } {
    let traffic = this.#past;
    for (const id of this.#links.keys()) traffic = sumOf(traffic, this.trafficOf(id));
    return { contextCount: this.#links.size, connectCount: this.#startedCount, ...traffic };
  }

  /** How the link to one does; undefined for what is no child of this process. */
  linkState(contextId: number): LinkState | undefined {
    const link = this.#links.get(contextId);
    if (link === undefined) return undefined;
    const state: LinkState = { peer: link.name, ...link.traffic };
    if (link instanceof ThreadChild) return state;
    return { ...state, queuedBytes: link.queuedBytes, lastHeardAt: new Date(link.lastHeardAt) };
  }

  /** A child says why it is about to go. */
  noteFarewell(contextId: number, reason: string): void {
    const link = this.#links.get(contextId);
    if (link === undefined) return;
    link.farewell = reason.slice(0, FAREWELL_CHARACTERS);
    // The last word of one that was let go.
    if (link instanceof ChildLink && link.isDetached) link.abort(reason);
  }

  /** A child asks to be let go: from its farewell on it lives without us. docs/protocol.md#detaching */
  detaching(frame: Frame): void {
    const { srcId } = frame;
    const link = this.#links.get(srcId);
    const isProcess = link instanceof ChildLink;
    if (!isProcess || link.isDetached) {
      const why = isProcess ? "it has been detached before" : "it is no child process of this one";
      log.warning(`Refused to detach context ${srcId}: ${why}`);
      this.#router.answerDead(frame, `Cannot detach context ${srcId}: ${why}`);
      return;
    }
    link.isDetached = true;
    if (frame.replyTo !== 0) this.send(srcId, frame.replyTo, 0);
  }

  /** Ends one, hung or not, or the connect that is to become it; resolves when it is reaped and its routes are gone. Never rejects. */
  async end(contextId: number): Promise<void> {
    await this.#attempts.get(contextId)?.cancel("whoever asked for it has given it up");
    const link = this.#links.get(contextId);
    if (link === undefined) return;
    this.send(contextId, Handle.SHUTDOWN, 0);
    await link.end(this.#graceMs);
  }

  /** Cuts the link to one, without a word to it; resolves when its process is reaped and its routes are gone. Never rejects. */
  async disconnect(contextId: number): Promise<void> {
    const link = this.#links.get(contextId);
    link?.abort(`${link.name}: was disconnected`);
    await link?.gone;
  }

  /** Gives up what is starting and ends the rest; nothing can be started from then on. */
  async endAll(): Promise<void> {
    this.#isClosed = true;
    const why = "the router was shut down during the connect";
    const attempts = [...this.#attempts.values()].map((attempt) => attempt.cancel(why));
    const ends = [...this.#links.keys()].map((id) => this.end(id));
    await Promise.all([...attempts, ...ends]);
    await Promise.all([...this.#unreaped]);
    await reaper.settle();
  }

  /** Shutdown waits for processes whose connects have failed or whose links have broken, too. */
  private awaitReaped({ reaped }: Pick<ChildLink, "reaped">): void {
    this.#unreaped.add(reaped);
    void reaped.then(() => this.#unreaped.delete(reaped));
  }

  /** An empty message. */
  private send(dstId: number, handle: number, replyTo: number): void {
    const { contextId } = this.#router;
    this.#router.routeFrame({
      encoding: Encoding.RAW,
      dstId,
      srcId: contextId,
      authId: contextId,
      handle,
      replyTo,
      body: [],
    });
  }

  private trafficOf(contextId: number): Traffic {
    return this.#links.get(contextId)?.traffic ?? NO_TRAFFIC;
  }
}

function cancelled({ name }: Pick<ConnectionMethod, "name">, why: string): CancelledError {
  return new CancelledError(`Cannot connect with ${name}(): ${why}`);
}

/** A method of the program's own must not lose a process that has been started. */
function nameOf<O extends ConnectOptions>(method: ConnectionMethod<O>, options: O, pid: number): string {
  if (options.name !== undefined) return options.name;
  try {
    const name: unknown = method.contextName(options, pid);
    if (typeof name === "string" && name !== "") return name;
  } catch {
    // It has none either.
  }
  return `${method.name}.${pid}`;
}

/** What a connect is to, for later ones; undefined for options that cannot be told apart. */
function targetOf(
  { name }: Pick<ConnectionMethod, "name">,
  options: ConnectOptions & { password?: unknown },
): string | undefined {
  // No password is kept.
  const { via: _, password: __, ...others } = options;
  try {
    return JSON.stringify([name, others]);
  } catch {
    // A method of the program's own may have any.
    return undefined;
  }
}

/** There is one, or should be one, and it does not do. One that was not found at all is dealt with by the connect itself. */
function isNodeUseless(error: unknown): boolean {
  const { code, details } = error as { code?: string; details?: ConnectDetails };
  const isUseless = code === "ERR_NO_NODE" || code === "ERR_NODE_VERSION" || code === "ERR_POLICY";
  return isUseless && (details?.stage === "node" || details?.stage === "ready");
}

function wasTurnedAway(
  { wasTurnedAway: judge }: Pick<ConnectionMethod, "wasTurnedAway">,
  error: unknown,
): boolean {
  const { details } = error as { details?: ConnectDetails };
  return details !== undefined && judge?.(details.stderr.split("\n"), details.exitCode) === true;
}
