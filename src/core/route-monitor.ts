import { decodeValue } from "../wire/decoder.ts";
import { encodeValue } from "../wire/encoder.ts";
import { Encoding, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../wire/references.ts";
import type { FrameRouter, Peer } from "./frame-router.ts";
import { getLogger } from "./log.ts";

const log = getLogger("mitogen.route_monitor", true);
/** How much of a reason is kept and passed on. */
const MAX_REASON_CHARACTERS = 8192;
/** Of how many contexts is known that a child has sent to them; a child may make ids up. */
const MAX_ADDRESSEES = 100_000;
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
  /** To whom each child has sent something, for itself or for one behind it: it may be waiting for the answer. */
  readonly #addressees: Map<Peer, Set<number>> = new Map();

  constructor(router: FrameRouter, listener: RouteListener) {
    this.#router = router;
    this.#listener = listener;
    router.onForwarded = (frame, from) => this.noteAddressee(frame.dstId, from);
    const forget = router.onContextsLost;
    router.onContextsLost = (contextIds, reason) => {
      forget?.(contextIds, reason);
      for (const peer of [...this.#addressees.keys()]) {
        if (contextIds.includes(peer.contextId)) this.#addressees.delete(peer);
      }
      for (const contextId of contextIds) this.announceLoss(contextId, reason);
    };
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
    for (const [peer, addressees] of this.#addressees) {
      for (const contextId of addressees) {
        if (this.#router.peerOf(contextId) !== undefined) continue;
        addressees.delete(contextId);
        this.tell(peer, contextId, reason);
      }
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
    if (!this.#router.addRoute(contextId, from)) {
      log.error(`Refused route to context ${contextId} from ${from.link.name}: there is one already`);
      return;
    }
    this.announce(contextId, name, nodeVersion);
  }

  /** [context id, reason]: from a child, of itself or of a context behind it; from the parent, of one elsewhere. */
  private onDelRoute(frame: Frame): void {
    const [contextId, reason] = readRoute(frame);
    const cut = reason.slice(0, MAX_REASON_CHARACTERS);
    const from = this.#router.peerOf(frame.srcId);
    if (from === undefined) {
      // From above: whoever spoke to it through here is told; a route of our own is none of the parent's business.
      if (this.#router.peerOf(contextId) !== undefined) return;
      this.#router.endRespondents(new Set([contextId]), cut);
      this.tellWaiting(contextId, cut);
      if (this.#router.hasAuthority(contextId)) this.#listener.onLostAbove?.(contextId, cut);
    } else if (contextId === frame.srcId) this.#listener.onFarewell?.(contextId, cut);
    else if (this.#router.peerOf(contextId) === from) this.#router.delRoutes([contextId], cut);
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
    for (const [peer, addressees] of this.#addressees) {
      if (addressees.delete(contextId)) this.tell(peer, contextId, reason);
    }
    // What the main thread waits for is not known here: it may have asked before there was a monitor.
    const mainThread = this.#router.peerOf(this.#router.contextId);
    if (mainThread === undefined) return;
    this.#listener.beforeMainThread?.();
    this.tell(mainThread, contextId, reason);
  }

  private tell(peer: Peer, contextId: number, reason: string): void {
    peer.link.send(this.frame(peer.contextId, Handle.DEL_ROUTE, [contextId, reason]));
  }

  private noteAddressee(contextId: number, from: Peer): void {
    // Whoever is above a context dies after it.
    if (from.kind !== "child" || this.#router.hasAuthority(contextId)) return;
    let addressees = this.#addressees.get(from);
    if (addressees === undefined) {
      addressees = new Set();
      this.#addressees.set(from, addressees);
    }
    addressees.add(contextId);
    if (addressees.size > MAX_ADDRESSEES) addressees.delete(addressees.values().next().value as number);
  }

  private sendUp(handle: number, value: unknown): void {
    const parentId = this.#router.parentIds[0];
    if (parentId !== undefined) this.#router.routeFrame(this.frame(parentId, handle, value));
  }

  private frame(dstId: number, handle: number, value: unknown): Frame {
    const { contextId } = this.#router;
    return {
      encoding: Encoding.CBOR,
      dstId,
      srcId: contextId,
      authId: contextId,
      handle,
      replyTo: 0,
      body: encodeValue(value),
    };
  }
}

/** Everything a child sends is checked; what throws here is logged by the router and changes nothing. */
function readRoute(frame: Frame): [contextId: number, text: string, nodeVersion: string] {
  const value = decodeValue(joinBody(frame));
  const [contextId, text, nodeVersion = ""] = Array.isArray(value) ? value : [];
  const isId = Number.isInteger(contextId) && contextId >= 0 && contextId <= 0xffffffff;
  if (!isId || typeof text !== "string" || typeof nodeVersion !== "string") {
    throw new TypeError(`a route message must be [context id, text, …], from context ${frame.srcId}`);
  }
  return [contextId, text, nodeVersion];
}
