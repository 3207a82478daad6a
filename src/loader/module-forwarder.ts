import { ThreadLink } from "../links/thread-link.ts";
import type { FrameRouter } from "../routing/frame-router.ts";
import type { Peer } from "../routing/peer.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { Handle } from "../wire/handles.ts";

/** The most bytes that an entry takes besides its id (in UTF-8) and its module, with its share of the frame. */
export const ENTRY_BYTES = 64;

/** A module in a frame: its id, the hash of its packed bytes, and the bytes, or null if the next hop has them. */
export type ModuleEntry = readonly [id: string, hash: string, packed: Uint8Array | null];

/**
 * Sends modules one hop closer to the context they are for. Every hop keeps the modules that pass, and sends
 * its next hop only those that it lacks. So a module crosses each link once. Used by the master and by every
 * context with children. docs/protocol.md#load_module
 */
export class ModuleForwarder {
  readonly #router: FrameRouter;
  /** Finds the packed bytes of a module in this process. */
  readonly #find: (hash: string) => Uint8Array | undefined;
  /** The hashes of modules that have crossed the link to a neighbour. */
  readonly #crossed: WeakMap<Peer, Set<string>> = new WeakMap();

  constructor(router: FrameRouter, find: (hash: string) => Uint8Array | undefined) {
    this.#router = router;
    this.#find = find;
  }

  /**
   * Sends modules towards the target, unless it is gone. Frames that are sent to the target later arrive after
   * them. Returns the number of frames: more than one only if one frame would be larger than a message may be.
   */
  forward(targetId: number, modules: readonly (readonly [id: string, hash: string])[]): number {
    const peer = this.#router.peerOf(targetId);
    if (peer === undefined || modules.length === 0) return 0;
    let crossed = this.#crossed.get(peer);
    if (crossed === undefined) {
      crossed = new Set();
      this.#crossed.set(peer, crossed);
    }
    // A thread has no broker thread that would keep the modules.
    const keeps = !(peer.link instanceof ThreadLink);
    let count = 0;
    let bytes = 0;
    let entries: ModuleEntry[] = [];
    for (const [id, hash] of modules) {
      const packed = keeps && crossed.has(hash) ? null : (this.#find(hash) ?? null);
      crossed.add(hash);
      const needed = (packed?.length ?? 0) + id.length * 3 + ENTRY_BYTES;
      if (entries.length > 0 && bytes + needed > this.#router.maxMessageBytes) {
        this.send(peer.contextId, targetId, entries);
        count += 1;
        bytes = 0;
        entries = [];
      }
      bytes += needed;
      entries.push([id, hash, packed]);
    }
    this.send(peer.contextId, targetId, entries);
    return count + 1;
  }

  private send(neighbourId: number, targetId: number, entries: readonly ModuleEntry[]): void {
    const body = encodeValue([targetId, entries]);
    this.#router.routeFrame(this.#router.frame(neighbourId, Handle.LOAD_MODULE, body));
  }
}
