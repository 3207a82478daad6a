import { configFrame } from "../bootstrap/config-frame.ts";
import type { Ready } from "../bootstrap/ready.ts";
import type { LinkState } from "../core/describe.ts";
import type { FrameRouter, Peer } from "../core/frame-router.ts";
import { getLogger } from "../core/log.ts";
import { checkTimeout } from "../core/wait.ts";
import { CancelledError, type ConnectDetails } from "../errors.ts";
import { Encoding, type Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { ConnectAttempt } from "./child-connection.ts";
import { ChildLink } from "./child-link.ts";
import { localMethod } from "./local.ts";
import { type ConnectionMethod, type ConnectOptions, checkOnlyOptions } from "./method.ts";
import { reaper } from "./reaper.ts";
import { startThread, ThreadChild, type ThreadOptions } from "./thread.ts";
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
const DEFAULT_TIMEOUT_MS = 30_000;
/** Tries again after a random part of this, doubled every time: many that were turned away together must not come back together. */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;
const MAX_RETRIES = 15;
/** So many intervals without a byte, though asked for one, and a peer is taken for dead. */
const MAX_SILENT_INTERVALS = 3;
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
  /** Connects under way, and waits between two tries. */
  readonly #attempts: Set<{ cancel(): Promise<void> }> = new Set();
  readonly #links: Map<number, ChildLink | ThreadChild> = new Map();
  #past: Traffic = NO_TRAFFIC;
  readonly #keepaliveMs: number;
  /** What a link had received at the last look, and how often that was the same. */
  readonly #silence: WeakMap<ChildLink | ThreadChild, { bytes: number; intervals: number }> = new WeakMap();
  #keepaliveTimer: NodeJS.Timeout | undefined;
  #pongHandle = 0;
  readonly #unreaped: Set<Promise<void>> = new Set();
  #startedCount = 0;
  #isClosed = false;

  constructor(router: FrameRouter, graceMs: number, keepaliveMs: number) {
    this.#keepaliveMs = keepaliveMs;
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
      if (this.#links.size === 0) clearInterval(this.#keepaliveTimer);
    };
  }

  /** Starts one; rejects as `Router` methods do. `onConnected` runs when it is routed, before anything of it is delivered. */
  async start<O extends ConnectOptions>(
    method: ConnectionMethod<O>,
    options: O,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
  ): Promise<StartedChild> {
    checkTimeout(options.timeoutMs);
    const deadline = Date.now() + (options.timeoutMs || DEFAULT_TIMEOUT_MS);
    for (let turn = 1; ; turn++) {
      try {
        return await this.startOnce(
          method,
          { ...options, timeoutMs: Math.max(1, deadline - Date.now()) },
          identity,
          onConnected,
        );
      } catch (error) {
        const delayMs = Math.random() * Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** turn);
        if (turn > MAX_RETRIES || !wasTurnedAway(method, error) || Date.now() + delayMs >= deadline)
          throw error;
        log.debug(`${method.name}: turned away, trying again in ${Math.round(delayMs)} ms`);
        await this.pause(delayMs);
      }
    }
  }

  private async startOnce<O extends ConnectOptions>(
    method: ConnectionMethod<O>,
    options: O,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
  ): Promise<StartedChild> {
    // Made first: options that make no command line are refused before anything else happens.
    const attempt = new ConnectAttempt(method, options);
    if (this.#isClosed) {
      throw new CancelledError(`Cannot connect with ${method.name}(): the router has been shut down`);
    }
    this.#attempts.add(attempt);
    try {
      const { tool, ready, rest, argv } = await attempt.run(this.configOf(identity, options));
      const child = { name: options.name ?? method.contextName(options, ready.pid), ready, argv };
      const isDirect = method === localMethod || ready.pid === tool.pid;
      const link = new ChildLink(child.name, tool, this.#router.maxMessageBytes, isDirect);
      this.adopt(link, child, identity, onConnected);
      link.receive(rest);
      return child;
    } finally {
      this.#attempts.delete(attempt);
      this.awaitReaped(attempt);
    }
  }

  /** Waits before another try; shutdown ends it. */
  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#attempts.delete(waiting);
        resolve();
      };
      const waiting = { cancel: async () => done() };
      const timer = setTimeout(done, ms);
      this.#attempts.add(waiting);
    });
  }

  /** The same for a thread of this process. */
  startThread(
    options: ThreadOptions,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
  ): StartedChild {
    checkOnlyOptions("thread", options, ["name", "unidirectional", "via", "debug"]);
    const name = options.name ?? `thread.${identity.contextId}`;
    const { child: link, ready } = startThread(name);
    const config = { ...this.configOf(identity, options), isThread: true };
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
    if (this.#links.size === 0 && this.#keepaliveMs > 0) {
      this.#keepaliveTimer = setInterval(() => this.checkLinks(), this.#keepaliveMs).unref();
    }
    this.#links.set(identity.contextId, link);
    this.#startedCount += 1;
    onConnected(child, this.#router.attach(link, identity.contextId, "child"));
  }

  private configOf(
    identity: ChildIdentity,
    options: Pick<ConnectOptions, "unidirectional">,
  ): Record<string, unknown> {
    const { contextId, parentIds, maxMessageBytes, unidirectional } = this.#router;
    return {
      ...identity,
      parentIds: [contextId, ...parentIds],
      maxMessageBytes,
      // Inherited: whoever is restricted can have no unrestricted children.
      unidirectional: unidirectional || options.unidirectional === true,
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

  /** Ends one, hung or not; resolves when it is reaped and its routes are gone. Never rejects. */
  async end(contextId: number): Promise<void> {
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
    const attempts = [...this.#attempts].map((attempt) => attempt.cancel());
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

  /** Asks silent peers for a sign of life, and gives up those that show none: a dead host closes no connection. */
  private checkLinks(): void {
    for (const [contextId, link] of this.#links) {
      const bytes = link.traffic.bytesReceived;
      const { intervals } = this.#silence.get(link) ?? { intervals: 0 };
      const isSilent = this.#silence.get(link)?.bytes === bytes;
      this.#silence.set(link, { bytes, intervals: isSilent ? intervals + 1 : 0 });
      if (!isSilent || link instanceof ThreadChild) continue;
      if (intervals + 1 >= MAX_SILENT_INTERVALS) {
        link.abort(`${link.name}: no answer for ${this.#keepaliveMs * MAX_SILENT_INTERVALS} ms`);
      } else this.ping(contextId);
    }
  }

  private ping(contextId: number): void {
    if (this.#pongHandle === 0) this.#pongHandle = this.#router.listen(() => undefined, { isService: true });
    this.send(contextId, Handle.PING, this.#pongHandle);
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

function wasTurnedAway(
  { wasTurnedAway: judge }: Pick<ConnectionMethod, "wasTurnedAway">,
  error: unknown,
): boolean {
  const { details } = error as { details?: ConnectDetails };
  return details !== undefined && judge?.(details.stderr.split("\n"), details.exitCode) === true;
}
