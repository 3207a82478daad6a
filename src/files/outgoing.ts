import { Message } from "../core/message.ts";
import type { Sender, SendWindow } from "../core/sender.ts";
import { piecesOf } from "../wire/pieces.ts";

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 0x7fffffff;

/**
 * The chunks of one file that are being sent. The reader may be hostile: the transfer ends if the reader does
 * not read or is gone.
 */
export class Outgoing {
  readonly #sender: Sender<unknown>;
  readonly #window: SendWindow;
  readonly #timer: NodeJS.Timeout;
  #isOver = false;

  /** The transfer ends when nothing was taken for `stallMs`. */
  constructor(sender: Sender<unknown>, stallMs: number) {
    const { router, contextId } = sender;
    this.#sender = sender;
    this.#window = router.requireFeatures().newWindow(contextId);
    const stalled = `context ${contextId} has taken nothing for ${stallMs} ms`;
    this.#timer = setTimeout(() => this.end(stalled), Math.min(stallMs, MAX_TIMER_MS)).unref();
  }

  /**
   * Sends a chunk. Resolves when there is room for more. Rejects with a ChannelError once the transfer is
   * over.
   */
  async send(chunk: Uint8Array): Promise<void> {
    const { router, contextId, handle } = this.#sender;
    for (const value of piecesOf(chunk, router.maxMessageBytes))
      await this.#window.send(Message.to(router, { dstId: contextId, handle }, { value }));
    this.#timer.refresh();
  }

  /**
   * Tells the reader that nothing more comes. Chunks for which it has not made room are not sent. Safe to
   * call twice.
   */
  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#window.end(reason);
    const { router, contextId, handle } = this.#sender;
    router.routeFrame(router.deadFrame(contextId, handle, reason));
  }
}
