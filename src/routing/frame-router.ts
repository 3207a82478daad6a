import type { Link } from "../links/link.ts";
import { getLogger } from "../logging/log.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { isCreditHandle } from "../wire/credit-handles.ts";
import { bodyLength, Encoding, type Frame, readUint32 } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { stackOf } from "../wire/values/thrown.ts";
import { type FrameHandler, type FrameHandlerOptions, HandlerTable } from "./handler-table.ts";
import type { Peer } from "./peer.ts";

const log = getLogger("mitogen.router", true);

/** Default for `maxMessageBytes`, the largest body that crosses a link. */
export const DEFAULT_MAX_MESSAGE_BYTES: number = 128 * 1024 * 1024;

/**
 * When this much waits for a neighbour, frames from senders that cannot be stopped are refused:
 * docs/protocol.md#pressure.
 */
export const MAX_BACKLOG_BYTES: number = DEFAULT_MAX_MESSAGE_BYTES;
/** The memory that a frame takes in a queue besides its body. */
const FRAME_COST = 256;

/**
 * Moves frames between links and local handlers, and refuses frames that may not pass. It knows nothing of
 * values, functions or processes. The broker thread of a child runs it unchanged; {@link CoreRouter} adds the
 * rest. Rules: docs/protocol.md#routing.
 */
export class FrameRouter {
  /** @internal */
  readonly contextId: number;
  /** Nearest first, ending with the master, 0; empty in the master. @internal */
  readonly parentIds: readonly number[];
  /** @internal */
  readonly maxMessageBytes: number;
  /** @internal */
  readonly unidirectional: boolean;
  /** Called in this order when contexts become unreachable, after handlers that wait for them have ended. @internal */
  readonly lossListeners: ((contextIds: readonly number[], reason: string) => void)[] = [];
  /** Called when the link to the parent has ended. @internal */
  onParentLost: ((reason: string) => void) | undefined;
  /** Called for every frame that passes from one neighbour to another, to note who spoke to whom. @internal */
  onForwarded: ((frame: Frame, from: Peer) => void) | undefined;
  /** Called when a frame adds to the backlog of `out`. `from` is as in {@link routeFrame}. @internal */
  onBackedUp: ((out: Peer, from: Peer | undefined) => void) | undefined;
  /** Called when the link of a neighbour is not backed up, or has ended. @internal */
  onDrained: ((peer: Peer) => void) | undefined;

  /** Whether one context is above another, as far as this process knows. The master knows the whole tree. @internal */
  isAbove: ((contextId: number, belowId: number) => boolean) | undefined;

  /** @internal */
  readonly handlers: HandlerTable;
  readonly #routes: Map<number, Peer> = new Map();
  #parent: Peer | undefined;
  /**
   * The main thread of this process, if this router runs in the broker thread. It gets the frames that no
   * handler here takes.
   */
  #inner: Peer | undefined;
  #endReason: string | undefined;

  /** @internal */
  constructor(options: {
    contextId: number;
    parentIds?: readonly number[];
    maxMessageBytes?: number | undefined;
    unidirectional?: boolean | undefined;
    /**
     * The first of the handles that nobody chose. The two threads of a child share an id, so they must not
     * share a handle.
     */
    firstHandle?: number | undefined;
  }) {
    this.handlers = new HandlerTable(options.firstHandle ?? Handle.FIRST_REPLY);
    this.contextId = options.contextId;
    this.parentIds = options.parentIds ?? [];
    this.maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
    this.unidirectional = options.unidirectional ?? false;
  }

  /** The contexts that have a route. @internal */
  get routedIds(): ReadonlyMap<number, unknown> {
    return this.#routes;
  }

  /**
   * Registers `onFrame` and returns its handle. `options` becomes the handler. Throws a RangeError if the handle is
   * taken, unless `overwrite` is true. @internal
   */
  listen(onFrame: (frame: Frame) => void, options: FrameHandlerOptions = {}): number {
    const { handle } = options;
    const earlier = this.handlers.get(handle as number);
    if (earlier !== undefined) {
      if (options.overwrite !== true) {
        throw new RangeError(`Cannot add handler: handle ${handle} is taken; pass overwrite to replace it`);
      }
      this.endHandler(earlier, `Another handler took handle ${handle} over`);
    }
    // Not a copy with more members: V8 would make it a dictionary, which is ten times as large.
    return this.expect(Object.assign(options, { onFrame }), handle);
  }

  /** Does the same for an object that is a handler already. Without a `handle`, takes a free one. @internal */
  expect(handler: FrameHandler, handle: number = this.handlers.freeHandle()): number {
    this.handlers.add(handler, handle);
    if (this.#endReason !== undefined) this.endHandler(handler, this.#endReason);
    return handle;
  }

  /** Removes a handler. From now on, a request to its handle gets a dead message. @internal */
  unlisten(handle: number): void {
    const handler = this.handlers.get(handle);
    const respondentId = handler && this.handlers.remove(handler);
    // The entry of a context with a route is kept for the next request.
    if (respondentId !== undefined && !this.#routes.has(respondentId)) this.handlers.forget(respondentId);
  }

  /** @internal */
  hasHandler(handle: number): boolean {
    return this.handlers.get(handle) !== undefined;
  }

  /** Makes `link` the way to a neighbour and starts delivery from it. @internal */
  attach(link: Link, contextId: number, kind: Peer["kind"], stamp: Pick<Peer, "authId"> = {}): Peer {
    const peer: Peer = { contextId, link, kind, backlog: 0, contexts: new Set(), ...stamp };
    if (kind === "parent" || kind === "outer") this.#parent = peer;
    else if (kind === "inner") this.#inner = peer;
    else this.setRoute(contextId, peer);
    link.open({
      onFrame: (frame) => this.routeFrame(stamp.authId === undefined ? frame : { ...frame, ...stamp }, peer),
      // The master must look at every frame between its children.
      onBytes:
        this.parentIds.length > 0 && stamp.authId === undefined && !this.unidirectional
          ? (bytes, start, end) => this.passBytes(bytes, start, end, peer)
          : undefined,
      onClosed: (reason) => this.detach(peer, reason),
      onDrained: () => this.noteDrained(peer),
    });
    return peer;
  }

  /** Makes a context reachable through a neighbour. Returns false if it has another route, which stays. @internal */
  addRoute(contextId: number, peer: Peer): boolean {
    const known = this.#routes.get(contextId);
    if (known !== undefined || contextId === this.contextId) return known === peer;
    this.setRoute(contextId, peer);
    return true;
  }

  private setRoute(contextId: number, peer: Peer): void {
    this.#routes.set(contextId, peer);
    peer.contexts.add(contextId);
  }

  /** Removes the routes to contexts, and ends whatever waits for these contexts, routed or not. @internal */
  delRoutes(contextIds: readonly number[], reason: string): void {
    for (const contextId of contextIds) {
      this.#routes.get(contextId)?.contexts.delete(contextId);
      this.#routes.delete(contextId);
    }
    this.endRespondents(contextIds, reason);
    this.tellLost(contextIds, reason);
  }

  /** @internal */
  protected tellLost(contextIds: readonly number[], reason: string): void {
    for (const tell of this.lossListeners) tell(contextIds, reason);
  }

  /**
   * Returns the neighbour behind which a context is known to be. The parent, which gets all frames without a route,
   * does not count. For this context's own id, returns the main thread. @internal
   */
  peerOf(contextId: number): Peer | undefined {
    return contextId !== this.contextId ? this.#routes.get(contextId) : this.#inner;
  }

  /** True for the context at the other end of one of this router's own links to children. @internal */
  isImmediateChild(contextId: number): boolean {
    return this.#routes.get(contextId)?.contextId === contextId;
  }

  /** True for this context and those above it. @internal */
  hasAuthority(authId: number): boolean {
    return authId === this.contextId || this.parentIds.includes(authId);
  }

  /**
   * Takes a frame to its handler or one hop closer. Never throws. A request that cannot be delivered gets a dead
   * message; only frames with forged ids are dropped. `from` is the peer that the frame came from, absent for
   * frames of this context. @internal
   */
  routeFrame(frame: Frame, from?: Peer): void {
    // A peer with this context's own id is the other thread of this process, which may speak for it.
    if (from !== undefined && from.contextId !== this.contextId && !this.isPlausible(frame, from)) return;
    if (from === undefined && !isDead(frame) && bodyLength(frame) > this.maxMessageBytes) {
      this.refuseFrame(
        frame,
        `Cannot send message of ${bodyLength(frame)} bytes to context ${frame.dstId}: exceeds maxMessageBytes ${this.maxMessageBytes}`,
      );
      return;
    }
    if (frame.dstId === this.contextId) {
      this.deliverFrame(frame, from);
      return;
    }
    let out = this.#routes.get(frame.dstId);
    // A frame from the parent without a route is not sent back up, because it would bounce for ever.
    if (out === undefined && from?.kind !== "parent") out = this.#parent;
    if (out === undefined) {
      this.answerDead(
        frame,
        `Cannot route message to context ${frame.dstId}: no route from context ${this.contextId}`,
      );
      return;
    }
    if (this.unidirectional && !this.hasAuthority(frame.authId) && !this.hasAuthority(frame.dstId)) {
      const reason = `Cannot route message from context ${frame.srcId} to ${frame.dstId}: context ${this.contextId} is unidirectional`;
      log.debug(reason);
      // In the name of the addressee, because a sender elsewhere in the tree accepts it from no other context.
      this.answerDead(frame, reason, frame.dstId);
      return;
    }
    if (from !== undefined) this.onForwarded?.(frame, from);
    this.forwardFrame(frame, out, from);
  }

  /**
   * A short cut of {@link routeFrame} for a call or a reply that only passes: from the parent to a context
   * below or to the main thread, or from below to a context above. Returns false for frames that this router
   * has to look at.
   */
  private passBytes(bytes: Buffer, start: number, end: number, from: Peer): boolean {
    const dstId = readUint32(bytes, start + 2);
    const handle = readUint32(bytes, start + 14);
    let out: Peer | undefined;
    if (from.kind !== "parent") out = this.parentIds.includes(dstId) ? this.#parent : undefined;
    else if (dstId !== this.contextId) out = this.#routes.get(dstId);
    else if (!this.hasHandler(handle)) out = this.#inner;
    return (
      out?.backlog === 0 &&
      // A part is valid on one link only. Its second byte marks it.
      bytes[start + 1] !== (Encoding.PART & 0xff) &&
      // Modules and routes concern every hop, and so do ids: src/routing/id-grants.ts.
      (handle > Handle.LAST_RESERVED || handle === Handle.CALL_FUNCTION) &&
      readUint32(bytes, start + 18) !== Handle.ALLOCATE_ID &&
      // The same check as in isPlausible.
      this.isReachedBy(readUint32(bytes, start + 6), from) &&
      this.isReachedBy(readUint32(bytes, start + 10), from) &&
      out.link.sendBytes?.(bytes, start, end) === true
    );
  }

  private forwardFrame(frame: Frame, out: Peer, from: Peer | undefined): void {
    if (out.backlog > MAX_BACKLOG_BYTES && this.mustRefuse(frame, out, from)) return;
    if (out.link.send(frame)) return;
    // Contexts above must themselves limit what they ask of a context.
    if (frame.handle <= Handle.LAST_RESERVED && this.hasAuthority(frame.authId)) return;
    out.backlog += bodyLength(frame) + FRAME_COST;
    this.onBackedUp?.(out, from);
  }

  private noteDrained(peer: Peer): void {
    peer.backlog = 0;
    this.onDrained?.(peer);
  }

  /**
   * Refuses a frame if too much waits for the neighbour that it is for. Returns whether it did. Frames for a
   * neighbour that does not read must not fill this process's memory. A child that sends such frames is stopped
   * at first. The parent is never stopped, because it carries the messages of all contexts.
   */
  private mustRefuse(frame: Frame, out: Peer, from: Peer | undefined): boolean {
    if (from === undefined || (from.kind !== "parent" && out.isStuck !== true)) return false;
    if ((out.link.queuedBytes ?? 0) < MAX_BACKLOG_BYTES) return false;
    const { handle, replyTo } = frame;
    // Credit limits what contexts above send, and a main thread has itself asked for its frames.
    const isBounded = handle <= Handle.LAST_RESERVED || isCreditHandle(replyTo) || out.kind === "inner";
    if (this.hasAuthority(frame.authId) && (isBounded || isDead(frame))) return false;
    // Dead messages are small. If even they flood the link, they are dropped.
    if (out.backlog > 2 * MAX_BACKLOG_BYTES) return true;
    if (isDead(frame)) return false;
    const reason = `Cannot send message to context ${frame.dstId}: ${out.link.name} does not read what was sent before`;
    // In the name of the addressee, as above.
    this.refuseFrame(frame, reason, frame.dstId);
    return true;
  }

  /** Sends a dead message to whoever sent a request. Sends nothing for a message that wants no reply. @internal */
  answerDead(frame: Frame, reason: string, srcId?: number): void {
    if (frame.replyTo === 0 || isDead(frame)) {
      log.debug(`Dropped message: ${reason}`);
      return;
    }
    this.routeFrame(this.deadFrame(frame.srcId, frame.replyTo, reason, srcId));
  }

  /** Makes a dead message, which ends the wait at `handle`. By default it comes from this context. @internal */
  deadFrame(dstId: number, handle: number, reason: string, srcId?: number): Frame {
    return this.frame(dstId, handle, encodeValue(reason), Handle.IS_DEAD, srcId);
  }

  /**
   * Makes a frame with this context's authority. It comes from this context unless `srcId` is given. `body` is an
   * encoded value, or empty. @internal
   */
  frame(
    dstId: number,
    handle: number,
    body: readonly Uint8Array[],
    replyTo: number = 0,
    srcId: number = this.contextId,
  ): Frame {
    const encoding = body.length > 0 ? Encoding.CBOR : Encoding.RAW;
    return { encoding, dstId, srcId, authId: this.contextId, handle, replyTo, body };
  }

  /** Ends every handler of this context, and every handler that is added later. @internal */
  endHandlers(reason: string): void {
    this.#endReason = reason;
    for (const handler of this.handlers.all()) this.endHandler(handler, reason);
  }

  /** Called when a link has ended. Ends whatever waits for a context that was reached over it. @internal */
  detach(peer: Peer, reason: string): void {
    this.noteDrained(peer);
    if (peer === this.#parent) {
      this.#parent = undefined;
      this.onParentLost?.(reason);
      return;
    }
    this.delRoutes([...peer.contexts], reason);
  }

  /** Ends the handlers that wait for these contexts. @internal */
  endRespondents(contextIds: Iterable<number>, reason: string): void {
    for (const contextId of contextIds) {
      // A copy, so that handlers which are added meanwhile are left out.
      for (const handler of this.handlers.waitingFor(contextId)) this.endHandler(handler, reason);
      if (this.handlers.countFor(contextId) === 0) this.handlers.forget(contextId);
    }
  }

  private endHandler(handler: FrameHandler, reason: string): void {
    const handle = handler.handle as number;
    // An earlier handler may have ended this one.
    if (this.handlers.get(handle) !== handler) return;
    this.unlisten(handle);
    if (handler.isService !== true)
      this.invokeHandler(handler, this.deadFrame(this.contextId, handle, reason));
  }

  /**
   * Source verification: a child may only speak for itself and for what is behind it. Without this check a
   * compromised child could send with its parent's authority, or answer another context's calls.
   */
  private isPlausible(frame: Frame, from: Peer): boolean {
    const field =
      from.authId === undefined && !this.isReachedBy(frame.authId, from)
        ? "authId"
        : !this.isReachedBy(frame.srcId, from)
          ? "srcId"
          : undefined;
    if (field === undefined) return true;
    log.error(
      `Dropped message from ${from.link.name}: bad ${field} ${frame[field]}, not reachable over that link (to ${frame.dstId}:${frame.handle})`,
    );
    return false;
  }

  private isReachedBy(id: number, from: Peer): boolean {
    return id !== this.contextId && (this.#routes.get(id) ?? this.#parent) === from;
  }

  private deliverFrame(frame: Frame, from: Peer | undefined): void {
    const handler = this.handlers.get(frame.handle);
    if (handler === undefined) {
      if (this.#inner !== undefined && from !== this.#inner) this.forwardFrame(frame, this.#inner, from);
      else if (this.#parent?.kind === "outer" && from === undefined) this.#parent.link.send(frame);
      else {
        this.answerDead(
          frame,
          `Cannot deliver message to handle ${frame.handle} of context ${this.contextId}: no such handle`,
        );
      }
      return;
    }
    if (handler.isService === true && isDead(frame)) return;
    // A dead message of this context itself concerns the handler, whichever context it waits for.
    const isOwn = frame.srcId === this.contextId;
    let isVerdict = isOwn && isDead(frame);
    if (handler.respondentId !== undefined && handler.respondentId !== frame.srcId && !isOwn) {
      const reason = `Cannot deliver message to handle ${frame.handle} of context ${this.contextId}: reply from unexpected context ${frame.srcId}`;
      // A dead message from a hop on the way is accepted: that hop knows that the respondent cannot be
      // reached.
      isVerdict = isDead(frame) && this.isOnTheWay(handler.respondentId, frame.srcId);
      if (!isVerdict) {
        log.error(reason);
        this.answerDead(frame, reason);
        return;
      }
    }
    if (handler.policy !== undefined && !isVerdict && !isAllowed(handler, frame)) {
      log.debug(`Refused message from context ${frame.srcId} to handle ${frame.handle}: policy`);
      this.answerDead(
        frame,
        `Cannot deliver message to handle ${frame.handle} of context ${this.contextId}: refused by policy`,
      );
      return;
    }
    if (handler.isPersistent === false) this.unlisten(frame.handle);
    this.invokeHandler(handler, frame);
  }

  /**
   * Whether messages to `contextId` pass `hopId`. Another context behind the same neighbour must not end
   * calls that are not its own.
   */
  private isOnTheWay(contextId: number, hopId: number): boolean {
    const peer = this.#routes.get(contextId);
    const isNext = peer === undefined ? this.hasAuthority(hopId) : hopId === peer.contextId;
    return isNext || this.isAbove?.(hopId, contextId) === true;
  }

  private invokeHandler(handler: FrameHandler, frame: Frame): void {
    try {
      const result: unknown = handler.onFrame(frame);
      // An unhandled rejection would end the process.
      if (result instanceof Promise) result.catch((error) => handlerFailed(frame, error));
    } catch (error) {
      handlerFailed(frame, error);
    }
  }

  /** Refuses a frame. A request gets a dead message. Instead of any other frame, its addressee gets a dead message. */
  private refuseFrame(frame: Frame, reason: string, srcId?: number): void {
    if (frame.replyTo !== 0) this.answerDead(frame, reason, srcId);
    else this.routeFrame(this.deadFrame(frame.dstId, frame.handle, reason));
  }
}

function handlerFailed({ handle }: Frame, error: unknown): void {
  log.error(`Handler for ${handle} failed: ${stackOf(error)}`);
}

function isDead(frame: Frame): boolean {
  return frame.replyTo === Handle.IS_DEAD;
}

function isAllowed(handler: FrameHandler, frame: Frame): boolean {
  try {
    return handler.policy?.(frame) === true;
  } catch {
    // A policy that throws does not allow.
    return false;
  }
}
