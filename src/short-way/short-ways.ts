import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import type { CoreRouter } from "../core/router.ts";
import { FunctionRef } from "../functions/callable.ts";
import { SHORT_WAY } from "../loader/builtins.ts";
import { getLogger } from "../logging/log.ts";
import type { Peer } from "../routing/peer.ts";
import { isCreditHandle } from "../wire/credit-handles.ts";
import { Encoding, type Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/values/thrown.ts";
import { isFence, TwoWays } from "./two-ways.ts";

const OPEN = new FunctionRef<[path: string, hello: Uint8Array, proof: Uint8Array], void>(SHORT_WAY, ["open"]);
/** After this many calls to it, a context gets a short way. */
const CALLS = 16;
/** The most connections, including those that have not identified themselves. Each takes a descriptor. */
const MAX_CONNECTIONS = 256;
/** A context sends its id and a secret, and gets another secret as the answer. */
const SECRET_BYTES = 32;
const HELLO_BYTES = 4 + SECRET_BYTES;
const HELLO_MS = 10_000;
/**
 * A context that ends loses its short way first. If it still exists after this time, it has lost only the
 * short way.
 */
const LOST_MS = 1000;

const log = getLogger("mitogen.short_way");

/** What short ways need from the program's router. */
export interface ShortWaysHost {
  readonly router: CoreRouter;
  /** Routes a frame, as if there were no short way. */
  routeLong(frame: Frame, from?: Peer): void;
  /** Ends a context. Pending calls to it get the reason. */
  end(contextId: number, reason: string): void;
  /** Makes the server listen where only this user can connect. */
  listen(server: Server): { readonly path: string; remove(): void };
}

class ShortWay extends TwoWays {
  /** Whether there is another context on the way. */
  isDeep = false;
  /** The number of calls before the short way was offered. */
  calls = 0;
  /** The number of long frames when a frame was last sent here. */
  longFrames = 0;
  /** What the context must send, until it has sent it, and the answer to it. */
  hello: Buffer | undefined;
  proof: Buffer | undefined;
  isAdmitted = false;

  /** Whether the context has confirmed the short way. */
  get isOpen(): boolean {
    return this.socket !== undefined && this.bytesReceived > 0;
  }
}

/**
 * The short ways of a program. They lead to contexts that are processes of its user on its machine, as are
 * all contexts on the way. docs/protocol.md#short-way
 */
export class ShortWays {
  readonly #host: ShortWaysHost;
  readonly #router: CoreRouter;
  readonly #ways: Map<number, ShortWay> = new Map();
  /**
   * Ways that are not read while the link to their context is backed up: a context that asks must also take
   * the answers.
   */
  readonly #stopped: Set<ShortWay> = new Set();
  /** Connections that have not said who they are. */
  readonly #strangers: Set<Socket> = new Set();
  #longFrames = 0;
  #server: Server | undefined;
  #path = "";
  #isClosed = false;

  constructor(host: ShortWaysHost) {
    this.#host = host;
    this.#router = host.router;
    const { onDrained } = host.router;
    host.router.onDrained = (peer) => {
      onDrained?.(peer);
      for (const way of this.#stopped) way.resume();
      this.#stopped.clear();
    };
  }

  /** Call this when a context was started as a process of this user, from `parentId`. */
  add(contextId: number, parentId: number): void {
    const isDeep = parentId !== this.#router.contextId;
    if (isDeep && !this.#ways.has(parentId)) return;
    const way: ShortWay = new ShortWay(this.#router.contextId, contextId, {
      sendLong: this.#host.routeLong,
      deliver: (frame) => this.deliver(way, frame),
      onBroken: (reason) => this.end(way, reason),
    });
    way.isDeep = isDeep;
    this.#ways.set(contextId, way);
  }

  /** Returns true for a frame that leaves by a short way, or is about one. `from` as in `routeFrame`. */
  takeFrame(frame: Frame, from: Peer | undefined): boolean {
    const way = this.#ways.get(frame.dstId);
    if (way !== undefined && this.send(way, frame, from === undefined)) return true;
    this.#longFrames += 1;
    return from !== undefined && isFence(frame) && this.takeFence(frame, from);
  }

  /** Call this when contexts are gone. Frames that they have sent before are delivered first. */
  forget(contextIds: readonly number[]): void {
    for (const id of contextIds) {
      const way = this.#ways.get(id);
      way?.readNow();
      way?.close();
      this.#ways.delete(id);
    }
  }

  /** Stops offering short ways. The existing ones end with their contexts. */
  close(): void {
    this.#isClosed = true;
    this.#server?.close();
    // The folder of the socket stays until the last connection has ended.
    for (const socket of this.#strangers) socket.destroy();
  }

  /** The traffic of a context's short way, if it has one. */
  traffic(contextId: number): { bytesSent: number; bytesReceived: number } | undefined {
    const way = this.#ways.get(contextId);
    return way?.isOpen ? { bytesSent: way.bytesSent, bytesReceived: way.bytesReceived } : undefined;
  }

  private send(way: ShortWay, frame: Frame, isMadeHere: boolean): boolean {
    const { srcId, handle } = frame;
    if (handle === Handle.CALL_FUNCTION && ++way.calls === CALLS) process.nextTick(() => this.offer(way));
    // Frames from others to a context behind another one may have to arrive first. Frames from others to a
    // child pass here.
    const isBehind = way.isDeep && way.longFrames !== this.#longFrames;
    way.longFrames = this.#longFrames;
    // A dead message may be sent in the name of another context.
    const isOwn = isMadeHere && srcId === this.#router.contextId;
    return way.sendShort(frame, isOwn && way.isOpen && isForMainThread(handle), isBehind);
  }

  private takeFence(fence: Frame, from: Peer): boolean {
    const way = this.#ways.get(fence.srcId);
    // The number of a fence decides what is read and what waits, so another context must not be able to forge it.
    const isReal = fence.dstId === this.#router.contextId && from === this.#router.peerOf(fence.srcId);
    if (!isReal || way?.isAdmitted !== true) return false;
    way.takeFence(fence);
    return true;
  }

  private offer(way: ShortWay): void {
    try {
      if (this.#isClosed) return;
      if (this.#server === undefined) this.listen();
      way.hello = randomBytes(HELLO_BYTES);
      way.hello.writeUInt32BE(way.peerId, 0);
      way.proof = randomBytes(SECRET_BYTES);
      this.#router.contextById(way.peerId).callNoReply(OPEN, this.#path, way.hello, way.proof);
    } catch (error) {
      log.debug(`No short way to context ${way.peerId}: ${messageOf(error)}`);
    }
  }

  private listen(): void {
    const server = createServer((socket) => this.greet(socket)).unref();
    server.maxConnections = MAX_CONNECTIONS;
    server.on("error", (error) => log.debug(error.message));
    const { path, remove } = this.#host.listen(server);
    server.on("close", remove);
    this.#path = path;
    this.#server = server;
  }

  /** Handles a new connection, from a process of this user or of root. */
  private greet(socket: Socket): void {
    let hello = Buffer.alloc(0);
    this.#strangers.add(socket);
    // The socket's own time limit begins again with each byte, so a slow stranger could stay for minutes.
    const timer = setTimeout(() => socket.destroy(), HELLO_MS).unref();
    const leave = (): void => {
      clearTimeout(timer);
      this.#strangers.delete(socket);
    };
    const onData = (chunk: Buffer): void => {
      hello = Buffer.concat([hello, chunk]);
      if (hello.length < HELLO_BYTES) return;
      socket.off("data", onData);
      leave();
      const way = this.#ways.get(hello.readUInt32BE(0));
      if (way?.hello?.length === hello.length && timingSafeEqual(way.hello, hello)) this.admit(socket, way);
      else {
        log.warning("Refused a connection: it did not send the secret of a context");
        socket.destroy();
      }
    };
    socket.unref().on("error", (error) => log.debug(error.message));
    socket.on("close", leave).on("data", onData);
  }

  private admit(socket: Socket, way: ShortWay): void {
    way.hello = undefined;
    way.isAdmitted = true;
    way.socket = socket;
    socket.write(way.proof as Buffer);
    socket.on("data", (chunk: Buffer) => {
      const isBackedUp = (this.#router.peerOf(way.peerId)?.backlog ?? 0) > 0;
      if (isBackedUp) this.#stopped.add(way);
      if (!way.receive(chunk) || isBackedUp) socket.pause();
    });
    socket.on("close", () => {
      way.close();
      setTimeout(() => this.end(way, "it has lost its short way"), LOST_MS).unref();
    });
  }

  /** Delivers a frame. The context may speak only for itself, to handlers of this program. */
  private deliver(way: ShortWay, frame: Frame): void {
    const { srcId, authId, dstId, handle, encoding } = frame;
    const peer = this.#router.peerOf(way.peerId);
    if (peer === undefined || this.#ways.get(way.peerId) !== way) return;
    const isItself = srcId === way.peerId && authId === srcId && dstId === this.#router.contextId;
    if (isItself && handle >= Handle.FIRST_DYNAMIC && encoding !== Encoding.PART)
      this.#host.routeLong(frame, peer);
    else this.end(way, `it has sent the short way from ${srcId}, authority ${authId}, to ${dstId}:${handle}`);
  }

  private end(way: ShortWay, reason: string): void {
    if (this.#ways.get(way.peerId) !== way) return;
    this.#ways.delete(way.peerId);
    way.close();
    this.#host.end(way.peerId, reason);
  }
}

/**
 * Whether the frame is for the main thread's event loop. Answers to its own requests are not: the main thread
 * may wait for modules without an event loop, and then reads only the long way.
 */
function isForMainThread(handle: number): boolean {
  if (handle >= Handle.FIRST_DYNAMIC) return handle < Handle.FIRST_REPLY || isCreditHandle(handle);
  return handle === Handle.CALL_FUNCTION || handle === Handle.CANCEL_CALL || handle === Handle.CALL_SERVICE;
}
