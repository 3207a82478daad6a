import { getLogger } from "../logging/log.ts";
import { showControls } from "../text/harmless.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { DEFAULT_LIMITS } from "../wire/cbor/limits.ts";
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { MAX_CONTEXT_NAME } from "../wire/values/references.ts";
import { Addressees } from "./addressees.ts";
import type { FrameRouter } from "./frame-router.ts";
import type { Peer } from "./peer.ts";
import { refusalOfRoute } from "./route-bounds.ts";

const log = getLogger("mitogen.route_monitor", true);
/** The most characters of a reason that are kept and passed on. */
const MAX_REASON_CHARACTERS = 8192;
/** A route message is an array of three. */
const ROUTE_LIMITS = { ...DEFAULT_LIMITS, maxItems: 3 };
const MAX_VERSION_CHARACTERS = 60;

/** What the owner of a {@link RouteMonitor} learns and decides. */
export interface RouteListener {
  /** Whether the id was given to a context behind that neighbour. Protects routes from a child that claims any id. */
  mayClaim(contextId: number, from: Peer): boolean;
  /** A context was started by this one, or by one below. `nodeVersion` is the new context's own claim. */
  onRouteAdded?(contextId: number, name: string, nodeVersion: string): void;
  /** A child has sent its farewell. */
  onFarewell?(contextId: number, reason: string): void;
  /**
   * A context above is gone, because a link to it has ended. Contexts below do not know, and may wait for it.
   */
  onLostAbove?(contextId: number, reason: string): void;
  /** The main thread is about to learn of a lost context. Contexts above have learned of it, if it concerns them. */
  beforeMainThread?(): void;
}

/**
 * Keeps the routes of a context that has children. Tells contexts above of every context that comes and goes
 * below. Tells contexts that have sent to a context when that one is gone. Runs in the master and, once a
 * child is asked for a child, in its broker thread. docs/protocol.md#routes
 */
export class RouteMonitor {
  readonly #router: FrameRouter;
  readonly #listener: RouteListener;
  /** The contexts that children may wait for. */
  readonly #addressees: Addressees = new Addressees();
  /** Children whose last new context was refused because there were too many. */
  readonly #full: Set<number> = new Set();

  constructor(router: FrameRouter, listener: RouteListener) {
    this.#router = router;
    this.#listener = listener;
    router.onForwarded = ({ dstId }, { contextId, kind }) => {
      // Contexts above end after this one, so nobody needs to learn of their end.
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

  /** Tells contexts above that a context is now reachable through this one. */
  announce(contextId: number, name: string, nodeVersion: string): void {
    this.sendUp(Handle.ADD_ROUTE, [contextId, name, nodeVersion]);
    this.#listener.onRouteAdded?.(contextId, name, nodeVersion);
  }

  /** Call this when the parent is gone. Tells every child about the contexts up there that it has sent to. */
  forgetAbove(reason: string): void {
    for (const contextId of this.#addressees.contextIds) {
      if (this.#router.peerOf(contextId) === undefined) this.tellSenders(contextId, reason);
    }
  }

  /** Takes [context id, name, node version] from a child: the context is reachable through it. */
  private onAddRoute(frame: Frame): void {
    const [contextId, name, nodeVersion] = readRoute(frame);
    const from = this.#router.peerOf(frame.srcId) as Peer;
    const isBad = name.length >= MAX_CONTEXT_NAME || nodeVersion.length >= MAX_VERSION_CHARACTERS;
    // A route to a context above would give the child that context's authority.
    if (isBad || this.#router.hasAuthority(contextId) || !this.#listener.mayClaim(contextId, from)) {
      log.error(`Refused route to context ${contextId} from ${from.link.name}: it does not own the id`);
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

  /**
   * Ends a context that is one too many, because a context that nobody can reach must not live on. The child owns
   * the id, so this harms nobody else.
   */
  private refuseOneTooMany(contextId: number, from: Peer, why: string): void {
    const { contextId: childId, link } = from;
    if (!this.#full.has(childId)) {
      log.error(
        `Refused route to context ${contextId} from ${link.name}; ends this context and all later ones: ${why}`,
      );
    }
    this.#full.add(childId);
    link.send(this.frame(contextId, Handle.SHUTDOWN, null));
  }

  /**
   * Takes [context id, reason]. From a child, it is about the child or a context behind it. From the parent,
   * it is about a context elsewhere.
   */
  private onDelRoute(frame: Frame): void {
    const [contextId, reason] = readRoute(frame);
    // The reason often quotes the last output, and becomes part of errors.
    const cut = showControls(reason.slice(0, MAX_REASON_CHARACTERS), "\n");
    const from = this.#router.peerOf(frame.srcId);
    if (from === undefined) {
      // From the parent: callers here that sent to the context learn that it is gone. The parent does not decide
      // about this context's own routes.
      if (this.#router.peerOf(contextId) !== undefined) return;
      this.#router.endRespondents([contextId], cut);
      this.tellWaiting(contextId, cut);
      if (this.#router.hasAuthority(contextId)) this.#listener.onLostAbove?.(contextId, cut);
    } else if (contextId === frame.srcId) this.#listener.onFarewell?.(contextId, cut);
    else if (this.#router.peerOf(contextId) === from) this.#router.delRoutes([contextId], cut);
    // This was the last message about a refused context.
    else if (this.#full.has(from.contextId) && this.#router.peerOf(contextId) === undefined) return;
    else
      log.error(
        `Refused end of the route to context ${contextId} from ${from.link.name}: the route does not lead there`,
      );
  }

  private announceLoss(contextId: number, reason: string): void {
    this.sendUp(Handle.DEL_ROUTE, [contextId, reason.slice(0, MAX_REASON_CHARACTERS)]);
    this.tellWaiting(contextId, reason);
  }

  private tellWaiting(contextId: number, reason: string): void {
    this.tellSenders(contextId, reason);
    // The main thread is always told. This router does not know what it waits for, because it may have sent its
    // requests before there was a monitor.
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

/**
 * Reads a route message. Everything that a child sends is checked; the router logs an error thrown here, and
 * nothing changes.
 */
function readRoute(frame: Frame): [contextId: number, text: string, nodeVersion: string] {
  const value = decodeValue(joinBody(frame), { limits: ROUTE_LIMITS });
  const [contextId, text, nodeVersion = ""] = Array.isArray(value) ? value : [];
  const isId = Number.isInteger(contextId) && contextId >= 0 && contextId <= 0xffffffff;
  if (!isId || typeof text !== "string" || typeof nodeVersion !== "string") {
    throw new TypeError(`a route message must be [context id, text, …], from context ${frame.srcId}`);
  }
  return [contextId, text, nodeVersion];
}
