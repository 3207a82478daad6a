import { getLogger } from "../logging/log.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import type { FrameRouter } from "./frame-router.ts";
import type { Peer } from "./peer.ts";

interface Grants {
  readonly ids: Set<number>;
  /** The newest last. */
  readonly blocks: [start: number, end: number][];
}

const log = getLogger("mitogen.route_monitor", true);
const MASTER = 0;
/** The most ids kept from requests for contexts behind a neighbour. Nobody reports a request that has failed. */
const MAX_IDS = 10_000;

/**
 * The ids that contexts behind each neighbour of a hop may claim: those in requests that pass the hop on
 * their way down, and those in the master's replies. Otherwise a child could claim the id of a context
 * elsewhere, and the hop above the child would take the child for that context: docs/protocol.md#allocate_id.
 */
export class IdGrants {
  readonly #router: FrameRouter;
  readonly #byPeer: WeakMap<Peer, Grants> = new WeakMap();

  constructor(router: FrameRouter) {
    this.#router = router;
  }

  /**
   * Reads a frame that passes this hop, and notes the ids that it grants. Never throws. Returns the id that a
   * CONNECT_CHILD request on its way down grants.
   */
  note(frame: Frame, from: Peer): number | undefined {
    const to = from.kind === "child" ? undefined : this.#router.peerOf(frame.dstId);
    if (to === undefined) return undefined;
    try {
      // Only from contexts above: a context elsewhere must not announce a child here.
      if (frame.handle === Handle.CONNECT_CHILD && this.#router.hasAuthority(frame.authId)) {
        const contextId = idInRequest(frame);
        const { ids } = this.grantsOf(to);
        ids.add(contextId);
        if (ids.size > MAX_IDS) ids.delete(ids.values().next().value as number);
        return contextId;
      }
      if (frame.srcId === MASTER && frame.replyTo === Handle.ALLOCATE_ID) {
        const [start, end] = decodeValue(joinBody(frame)) as [number, number];
        const { blocks } = this.grantsOf(to);
        const last = blocks[blocks.length - 1];
        // A context that asks for many blocks often gets adjacent ones.
        if (last?.[1] === start) last[1] = end;
        else blocks.push([start, end]);
      }
    } catch (error) {
      log.error(`Malformed message from context ${frame.srcId} to ${frame.dstId}:${frame.handle}: ${error}`);
    }
    return undefined;
  }

  /** Whether the id was given to a context behind that neighbour. Uses up an id that a request granted. */
  mayClaim(contextId: number, from: Peer): boolean {
    const { ids, blocks } = this.grantsOf(from);
    // It can be claimed only once, because ids are never used again.
    if (ids.delete(contextId)) return true;
    // Ids in use are mostly in the newest block.
    for (let at = blocks.length - 1; at >= 0; at--) {
      const [start, end] = blocks[at] as [number, number];
      if (contextId >= start && contextId < end) return true;
    }
    return false;
  }

  private grantsOf(peer: Peer): Grants {
    let grants = this.#byPeer.get(peer);
    if (grants === undefined) {
      grants = { ids: new Set(), blocks: [] };
      this.#byPeer.set(peer, grants);
    }
    return grants;
  }
}

/** The id in a CONNECT_CHILD request. */
function idInRequest(frame: Frame): number {
  const [, , identity] = decodeValue(joinBody(frame)) as [unknown, unknown, { contextId: number }];
  return identity.contextId;
}
