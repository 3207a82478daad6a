import { timingSafeEqual } from "node:crypto";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import type { Link, LinkEvents } from "../links/link.ts";
import { getLogger } from "../logging/log.ts";
import type { Frame } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { isFence, TwoWays } from "./two-ways.ts";

const MASTER = 0;
const READ_BYTES = 64 * 1024;
/**
 * How long a context that has lost its short way waits for the program to end it. A detached context knows
 * within two seconds that it was detached.
 */
const LOST_MS = 5000;

/** The child that has loaded this part. */
interface Child {
  readonly router: CoreRouter;
  /** The link to its broker thread. */
  readonly link: Link & { readonly hasOutput: boolean };
  readonly config: { readonly contextId: number; readonly parentIds: readonly number[] };
}

/** The part `mitogen:short-way`: the end of a short way in the main thread of a context. */
export function mitogenModule(child: Child): object {
  return {
    /**
     * Connects to `path`, sends `hello`, and trusts the peer that answers `proof`. If that fails, nothing
     * changes.
     */
    open: (path: string, hello: Uint8Array, proof: Uint8Array) => openShortWay(child, path, hello, proof),
  };
}

function openShortWay(child: Child, path: string, hello: Uint8Array, proof: Uint8Array): void {
  const { router, link: long, config } = child;
  const { contextId, parentIds } = config;
  /** Whether the program is gone, or has been asked to let this context go. The socket will then end. */
  let isLeaving = false;
  let events: LinkEvents | undefined;

  const ways = new TwoWays(contextId, MASTER, {
    sendLong: (frame) => long.send(frame),
    deliver: (frame) => events?.onFrame(frame),
    onBroken: end,
  });
  // Replaces the link to the broker thread.
  const link: Link = {
    name: long.name,
    open(given) {
      events = given;
      const onFrame = (frame: Frame): void =>
        isFence(frame, MASTER) ? ways.takeFence(frame) : given.onFrame(frame);
      long.open({ ...given, onFrame });
    },
    send(frame) {
      if (frame.handle === Handle.DETACHING) isLeaving = true;
      // Output must arrive first. A child of the program itself writes directly to it anyway.
      const isDetour = !long.hasOutput && parentIds.length > 1;
      const mayBeShort = isDetour && frame.dstId === MASTER && frame.handle >= Handle.FIRST_DYNAMIC;
      if (!ways.sendShort(frame, mayBeShort)) return long.send(frame);
      // The next function may hang.
      ways.flush();
      return true;
    },
    close: () => ways.close(),
    abort: () => ways.close(),
  };
  router.attach(link, contextId, "outer");
  router.lossListeners.push((contextIds) => {
    if (!contextIds.includes(MASTER)) return;
    isLeaving = true;
    socket.destroy();
  });

  let heard = Buffer.alloc(0);
  const callback = (length: number, memory: Uint8Array): boolean => {
    const chunk = memory.subarray(0, length);
    if (ways.socket !== undefined) return ways.receive(chunk);
    heard = Buffer.concat([heard, chunk]);
    if (heard.length < proof.length) return true;
    if (timingSafeEqual(heard.subarray(0, proof.length), proof)) ways.open(socket);
    else socket.destroy();
    return ways.socket === undefined || ways.receive(heard.subarray(proof.length));
  };
  const onread = { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback };
  const socket: Socket = connect({ path, onread } as unknown as NetConnectOpts, () => socket.write(hello));
  socket.unref().on("error", (error) => getLogger("mitogen.short_way").debug(error.message));
  socket.on("close", () => {
    if (ways.socket !== undefined) setTimeout(end, LOST_MS, "it has lost its short way").unref();
    ways.close();
  });

  /** Makes the broker thread end this context and tell the program why. */
  function end(reason: string): void {
    if (isLeaving) return;
    const tell = (dstId: number, handle: number, value: unknown): void =>
      router.route(Message.to(router, { dstId, handle }, { value }));
    tell(parentIds[0] as number, Handle.DEL_ROUTE, [contextId, reason]);
    tell(contextId, Handle.SHUTDOWN, null);
  }
}
