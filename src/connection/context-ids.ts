import { Message } from "../core/message.ts";
import type { CoreRouter } from "../core/router.ts";
import { IdAllocator } from "../routing/id-allocator.ts";
import type { Peer } from "../routing/peer.ts";
import { refusalOfRoute } from "../routing/route-bounds.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/values/thrown.ts";

/** What else the ids of contexts depend on. */
interface IdRules {
  /** Whether the context is a thread. */
  isThread(contextId: number): boolean;
  /** Sends a context the code that contexts with children need. */
  sendParentRole(contextId: number): void;
}

/**
 * The ids of the contexts of one program: gives them out, to connects of its own and in blocks to contexts that ask for
 * them, and knows who may claim them.
 */
export class ContextIds {
  readonly #router: CoreRouter;
  readonly #rules: IdRules;
  readonly #ids: IdAllocator = new IdAllocator();

  constructor(router: CoreRouter, rules: IdRules) {
    this.#router = router;
    this.#rules = rules;
    router.addHandler((message) => this.allocateBlock(message), {
      handle: Handle.ALLOCATE_ID,
      service: true,
    });
  }

  /** The id of a child of `parentId` that this program is about to start. Throws a RangeError if there are too many contexts. */
  allocate(parentId: number): number {
    this.checkRoom(parentId);
    this.#rules.sendParentRole(parentId);
    return this.#ids.allocate(parentId);
  }

  /** An id that nobody may claim, for a program that has connected to this one. */
  allocateForLink(): number {
    const contextId = this.#ids.allocate(this.#router.contextId);
    this.#ids.giveBack(contextId);
    return contextId;
  }

  /** Called when a connect has failed. */
  giveBack(contextId: number): void {
    this.#ids.giveBack(contextId);
  }

  /** Called when a context is gone. */
  forget(contextId: number): void {
    this.#ids.forget(contextId);
  }

  /** The context that has started the one with this id, or may. */
  ownerOf(contextId: number): number | undefined {
    return this.#ids.ownerOf(contextId);
  }

  /** Whether a context with this id may be announced over this link. */
  mayClaim(contextId: number, from: Peer): boolean {
    const owner = this.#ids.ownerOf(contextId);
    return owner !== undefined && this.#router.peerOf(owner) === from;
  }

  /** Throws a RangeError if there are too many contexts for `parentId` to have another child. */
  private checkRoom(parentId: number): void {
    const why = refusalOfRoute(this.#router, this.#router.peerOf(parentId));
    if (why !== undefined) throw new RangeError(`Cannot start a context: ${why}`);
  }

  /**
   * Replies with [start, end): ids for the contexts that a context starts on its own. Also sends that context the code of
   * the parent role. A context may ask on behalf of one below it, from which it is about to start a context.
   */
  private allocateBlock(message: Message): void {
    const router = this.#router;
    const { srcId } = message;
    // Without a reply handle nobody would learn the ids, and they would be lost.
    if (message.replyTo === 0) return;
    try {
      const wanted = message.decode() ?? srcId;
      const linkId = router.peerOf(srcId)?.contextId ?? srcId;
      // Otherwise a child could have ids allocated to a context elsewhere in the tree.
      if (typeof wanted !== "number" || router.isAbove?.(srcId, wanted) !== true) {
        throw new RangeError(
          `Cannot allocate ids for ${typeof wanted === "number" ? `context ${wanted}` : typeof wanted}: it is not below context ${srcId}`,
        );
      }
      if (this.#rules.isThread(wanted)) {
        throw new RangeError(`Cannot allocate ids for context ${wanted}: a thread cannot have children`);
      }
      this.checkRoom(wanted);
      const value = this.#ids.allocateBlock(wanted, linkId);
      this.#rules.sendParentRole(wanted);
      const to = { dstId: srcId, handle: message.replyTo, replyTo: Handle.ALLOCATE_ID };
      router.route(Message.to(router, to, { value }));
    } catch (error) {
      router.answerDead(message, messageOf(error));
    }
  }
}
