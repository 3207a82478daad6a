import { getLogger } from "../logging/log.ts";
import { showControls } from "../text/harmless.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { DEFAULT_LIMITS } from "../wire/cbor/limits.ts";
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../wire/values/references.ts";
import { Addressees } from "./addressees.ts";
import type { FrameRouter, Peer } from "./frame-router.ts";
import { refusalOfRoute } from "./route-bounds.ts";

const log = getLogger("mitogen.route_monitor", true);
/** How much of a reason is kept and passed on. */
const MAX_REASON_CHARACTERS = 8192;
/** A route message is an array of three. */
const ROUTE_LIMITS = { ...DEFAULT_LIMITS, maxItems: 3 };
const MAX_VERSION_CHARACTERS = 60;

/** What the owner of a router wants to know, and to decide. */
export interface RouteListener {
  /** Whether the id was given to a context behind that neighbour. Defends routes against a child that claims any id. */
  mayClaim(contextId: number, from: Peer): boolean;
  /** A context that this one, or one below it, has started. `nodeVersion` is its own claim. */
  onRouteAdded?(contextId: number, name: string, nodeVersion: string): void;
  /** A child said why it is about to go. */
  onFarewell?(contextId: number, reason: string): void;
  /** One above is gone, for the link that led there is: those below, who may wait for it, do not know. */
  onLostAbove?(contextId: number, reason: string): void;
  /** The main thread is about to be told of an end; those above have been told, if it is their business. */
  beforeMainThread?(): void;
}

/**
 * Keeps the routes of a context that has children: tells those above of every context that comes and goes below, and those who
 * ever sent to a context that it is gone. Runs in the master and, once a child is asked for a child, in its broker thread.
 * docs/protocol.md#routes
 */
export class RouteMonitor {
  readonly #router: FrameRouter;
  readonly #listener: RouteListener;
  /** Children that may be waiting for an answer. */
  readonly #addressees: Addressees = new Addressees();
  /** Children of which a context was refused because there are too many, and none was taken since. */
  readonly #full: Set<number> = new Set();

  constructor(router: FrameRouter, listener: RouteListener) {
    this.#router = router;
    this.#listener = listener;
    router.onForwarded = ({ dstId }, { contextId, kind }) => {
      // Whoever is above a context dies after it.
      if (kind === "child" && !router.hasAuthority(dstId)) this.#addressees.note(dstId, contextId);
    };
    router.lossListeners.push((contextIds, reason) => {
      for (const contextId of contextIds) {
        this.#addressees.forgetChild(contextId);
        this.#full.delete(contextId);
      }
      for (const contextId of contextIds) this.announceLoss(contextId, reason);
    });
    router.listen((frame) => this.onAddRoute(frame), {
      handle: Handle.ADD_ROUTE,
      policy: ({ srcId }) => router.isImmediateChild(srcId),
      isService: true,
    });
    router.listen((frame) => this.onDelRoute(frame), {
      handle: Handle.DEL_ROUTE,
      policy: ({ srcId }) => router.isImmediateChild(srcId) || router.parentIds[0] === srcId,
      isService: true,
    });
  }

  /** Tells those above of a context that is now reachable through this one. */
  announce(contextId: number, name: string, nodeVersion: string): void {
    this.sendUp(Handle.ADD_ROUTE, [contextId, name, nodeVersion]);
    this.#listener.onRouteAdded?.(contextId, name, nodeVersion);
  }

  /** The way up is gone: tells every child that ever sent to a context there. */
  forgetAbove(reason: string): void {
    for (const contextId of this.#addressees.contextIds) {
      if (this.#router.peerOf(contextId) === undefined) this.tellSenders(contextId, reason);
    }
  }

  /** [context id, name, node version] from a child: it leads there. */
  private onAddRoute(frame: Frame): void {
    const [contextId, name, nodeVersion] = readRoute(frame);
    const from = this.#router.peerOf(frame.srcId) as Peer;
    const isBad = name.length >= MAX_CONTEXT_NAME || nodeVersion.length >= MAX_VERSION_CHARACTERS;
    // A route to one above would lend its authority to the child.
    if (isBad || this.#router.hasAuthority(contextId) || !this.#listener.mayClaim(contextId, from)) {
      log.error(`Refused route to context ${contextId} from ${from.link.name}: the id is not its to give`);
      return;
    }
    const tooMany = this.#router.peerOf(contextId) ? undefined : refusalOfRoute(this.#router, from);
    if (tooMany !== undefined) {
      this.refuseOneTooMany(contextId, from, tooMany);
      return;
    }
    if (!this.#router.addRoute(contextId, from)) {
      log.error(`Refused route to context ${contextId} from ${from.link.name}: there is one already`);
      return;
    }
    this.#full.delete(from.contextId);
    this.announce(contextId, name, nodeVersion);
  }

  /** The id is its to give, so ending it harms nobody else: a context that nobody can reach must not stay. */
  private refuseOneTooMany(contextId: number, from: Peer, why: string): void {
    const { contextId: childId, link } = from;
    if (!this.#full.has(childId)) {
      log.error(
        `Refused route to context ${contextId} from ${link.name}, and ends it, as those that follow: ${why}`,
      );
    }
    this.#full.add(childId);
    link.send(this.frame(contextId, Handle.SHUTDOWN, null));
  }

  /** [context id, reason]: from a child, of itself or of a context behind it; from the parent, of one elsewhere. */
  private onDelRoute(frame: Frame): void {
    const [contextId, reason] = readRoute(frame);
    // It often quotes what was printed last; it becomes part of errors.
    const cut = showControls(reason.slice(0, MAX_REASON_CHARACTERS), "\n");
    const from = this.#router.peerOf(frame.srcId);
    if (from === undefined) {
      // From above: whoever spoke to it through here is told; a route of our own is none of the parent's business.
      if (this.#router.peerOf(contextId) !== undefined) return;
      this.#router.endRespondents([contextId], cut);
      this.tellWaiting(contextId, cut);
      if (this.#router.hasAuthority(contextId)) this.#listener.onLostAbove?.(contextId, cut);
    } else if (contextId === frame.srcId) this.#listener.onFarewell?.(contextId, cut);
    else if (this.#router.peerOf(contextId) === from) this.#router.delRoutes([contextId], cut);
    // The last word about one that was refused.
    else if (this.#full.has(from.contextId) && this.#router.peerOf(contextId) === undefined) return;
    else
      log.error(
        `Refused end of the route to context ${contextId} from ${from.link.name}: it does not lead there`,
      );
  }

  private announceLoss(contextId: number, reason: string): void {
    this.sendUp(Handle.DEL_ROUTE, [contextId, reason.slice(0, MAX_REASON_CHARACTERS)]);
    this.tellWaiting(contextId, reason);
  }

  private tellWaiting(contextId: number, reason: string): void {
    this.tellSenders(contextId, reason);
    // What the main thread waits for is not known here: it may have asked before there was a monitor.
    const mainThread = this.#router.peerOf(this.#router.contextId);
    if (mainThread === undefined) return;
    this.#listener.beforeMainThread?.();
    this.tell(mainThread, contextId, reason);
  }

  private tellSenders(contextId: number, reason: string): void {
    for (const childId of this.#addressees.takeSendersTo(contextId)) {
      const child = this.#router.peerOf(childId);
      if (child !== undefined) this.tell(child, contextId, reason);
    }
  }

  private tell(peer: Peer, contextId: number, reason: string): void {
    peer.link.send(this.frame(peer.contextId, Handle.DEL_ROUTE, [contextId, reason]));
  }

  private sendUp(handle: number, value: unknown): void {
    const parentId = this.#router.parentIds[0];
    if (parentId !== undefined) this.#router.routeFrame(this.frame(parentId, handle, value));
  }

  private frame(dstId: number, handle: number, value: unknown): Frame {
    return this.#router.frame(dstId, handle, encodeValue(value));
  }
}

/** Everything a child sends is checked; what throws here is logged by the router and changes nothing. */
function readRoute(frame: Frame): [contextId: number, text: string, nodeVersion: string] {
  const value = decodeValue(joinBody(frame), { limits: ROUTE_LIMITS });
  const [contextId, text, nodeVersion = ""] = Array.isArray(value) ? value : [];
  const isId = Number.isInteger(contextId) && contextId >= 0 && contextId <= 0xffffffff;
  if (!isId || typeof text !== "string" || typeof nodeVersion !== "string") {
    throw new TypeError(`a route message must be [context id, text, …], from context ${frame.srcId}`);
  }
  return [contextId, text, nodeVersion];
}
