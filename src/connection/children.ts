import type { FrameRouter, Peer } from "../core/frame-router.ts";
import { CancelledError } from "../errors.ts";
import { Handle } from "../wire/handles.ts";
import { Encoding } from "../wire/frame.ts";
import { configFrame } from "../bootstrap/config-frame.ts";
import type { Ready } from "../bootstrap/ready.ts";
import { ConnectAttempt } from "./child-connection.ts";
import { ChildLink } from "./child-link.ts";
import type { ConnectionMethod, ConnectOptions } from "./method.ts";
import { startThread, type ThreadChild, type ThreadOptions } from "./thread.ts";

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
}

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
  readonly #attempts: Set<ConnectAttempt<ConnectOptions>> = new Set();
  readonly #links: Map<number, ChildLink | ThreadChild> = new Map();
  readonly #past = { bytesSent: 0, bytesReceived: 0 };
  #startedCount = 0;
  #isClosed = false;

  constructor(router: FrameRouter, graceMs: number) {
    this.#router = router;
    this.#graceMs = graceMs;
    const forget = router.onContextsLost;
    router.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const id of contextIds) {
        this.countTraffic(this.#past, id);
        this.#links.delete(id);
      }
    };
  }

  /** Starts one; rejects as `Router` methods do. `onConnected` runs when it is routed, before anything of it is delivered. */
  async start<O extends ConnectOptions>(
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
    this.#attempts.add(attempt as never);
    try {
      const { tool, ready, rest } = await attempt.run(this.configOf(identity, options));
      const child = { name: options.name ?? method.contextName(options, ready.pid), ready };
      const link = new ChildLink(child.name, tool, this.#router.maxMessageBytes);
      this.adopt(link, child, identity, onConnected);
      link.receive(rest);
      return child;
    } finally {
      this.#attempts.delete(attempt as never);
    }
  }

  /** The same for a thread of this process. */
  startThread(
    options: ThreadOptions,
    identity: ChildIdentity,
    onConnected: (child: StartedChild, peer: Peer) => void,
  ): StartedChild {
    const name = options.name ?? `thread.${identity.contextId}`;
    const { child: link, ready } = startThread(name);
    const config = { ...this.configOf(identity, options), isThread: true };
    const child = { name, ready };
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
  get stats(): { contextCount: number; connectCount: number; bytesSent: number; bytesReceived: number } {
    const traffic = { ...this.#past };
    for (const id of this.#links.keys()) this.countTraffic(traffic, id);
    return { contextCount: this.#links.size, connectCount: this.#startedCount, ...traffic };
  }

  /** A child says why it is about to go. */
  noteFarewell(contextId: number, reason: string): void {
    const link = this.#links.get(contextId);
    if (link !== undefined) link.farewell = reason.slice(0, FAREWELL_CHARACTERS);
  }

  /** Ends one, hung or not; resolves when it is reaped and its routes are gone. Never rejects. */
  async end(contextId: number): Promise<void> {
    const link = this.#links.get(contextId);
    if (link === undefined) return;
    this.#router.routeFrame({
      encoding: Encoding.RAW,
      dstId: contextId,
      srcId: this.#router.contextId,
      authId: this.#router.contextId,
      handle: Handle.SHUTDOWN,
      replyTo: 0,
      body: [],
    });
    await link.end(this.#graceMs);
  }

  /** Gives up what is starting and ends the rest; nothing can be started from then on. */
  async endAll(): Promise<void> {
    this.#isClosed = true;
    const attempts = [...this.#attempts].map((attempt) => attempt.cancel());
    const ends = [...this.#links.keys()].map((id) => this.end(id));
    await Promise.all([...attempts, ...ends]);
  }

  private countTraffic(into: { bytesSent: number; bytesReceived: number }, contextId: number): void {
    const traffic = this.#links.get(contextId)?.traffic;
    into.bytesSent += traffic?.bytesSent ?? 0;
    into.bytesReceived += traffic?.bytesReceived ?? 0;
  }
}
