import { getLogger } from "../logging/log.ts";
import type { FrameRouter } from "./frame-router.ts";
import type { Peer } from "./peer.ts";

/** How much children may add to another neighbour's backlog before they are stopped. */
const MAX_FORWARDED_BYTES = 8 * 1024 * 1024;
/**
 * How many bytes that a child has asked for, or has sent to itself, may be unread before the child is
 * stopped.
 */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** How long a child may be stopped because another child does not read. */
const MAX_HOLD_MS = 30_000;

const log = getLogger("mitogen.router", true);

/**
 * Stops reading from children that fill a link faster than it drains. The link may be their own, if they do not
 * read what they ask for, or that of another context: docs/protocol.md#pressure.
 *
 * Contexts never wait for each other in a circle. The parent is never stopped, because it carries the
 * messages of all contexts. An honest child keeps reading, whatever happens to its own writes. So links down
 * the tree drain, and those up the tree drain when the links above them do.
 */
export class Pressure {
  readonly #holdMs: number;
  /** The stopped children, by the neighbour whose link they have filled. */
  readonly #held: Map<Peer, Set<Peer>> = new Map();
  readonly #timers: Map<Peer, NodeJS.Timeout> = new Map();

  constructor(router: FrameRouter, holdMs: number = MAX_HOLD_MS) {
    this.#holdMs = holdMs;
    router.onBackedUp = (out, from) => this.note(out, from?.kind === "child" ? from : out);
    router.onDrained = (peer) => this.letAllGo(peer);
  }

  private note(out: Peer, filler: Peer): void {
    // Only children are stopped. The frames of others are bounded where they come from, or refused.
    if (filler.kind !== "child" || filler.link.pause === undefined) return;
    const isOther = filler !== out;
    if (out.backlog < (isOther ? MAX_FORWARDED_BYTES : MAX_ANSWER_BYTES)) return;
    if (isOther && out.isStuck === true) return;
    const held = this.#held.get(out) ?? new Set();
    if (held.has(filler)) return;
    if (!this.isHeld(filler)) filler.link.pause();
    this.#held.set(out, held.add(filler));
    log.debug(`${filler.link.name} is not read until ${out.link.name} has read more`);
    // No timer for the parent, because contexts above will read in the end.
    if (isOther && out.kind !== "parent" && !this.#timers.has(out)) {
      this.#timers.set(out, setTimeout(() => this.giveUp(out), this.#holdMs).unref());
    }
  }

  /** Reads from the stopped children again, because a neighbour that does not read must not silence the others. */
  private giveUp(out: Peer): void {
    log.warning(
      `${out.link.name} reads too slowly: ${out.link.queuedBytes} bytes have waited for ${this.#holdMs} ms; further messages to it may be refused`,
    );
    out.isStuck = true;
    for (const filler of this.#held.get(out) ?? []) if (filler !== out) this.letGo(filler, out);
  }

  private letAllGo(out: Peer): void {
    const held = this.#held.get(out);
    if (held === undefined) return;
    clearTimeout(this.#timers.get(out));
    this.#timers.delete(out);
    out.isStuck = false;
    for (const filler of held) this.letGo(filler, out);
    this.#held.delete(out);
  }

  private letGo(filler: Peer, out: Peer): void {
    this.#held.get(out)?.delete(filler);
    if (!this.isHeld(filler)) filler.link.resume?.();
  }

  private isHeld(filler: Peer): boolean {
    for (const held of this.#held.values()) if (held.has(filler)) return true;
    return false;
  }
}
