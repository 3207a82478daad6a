import type { WaitOptions } from "../waiting/wait.ts";
import type { Frame } from "../wire/frame.ts";
import { printAsText } from "../wire/values/inspectable.ts";
import { checkNumber, travelsAs } from "../wire/values/references.ts";
import type { ContextRouter } from "./context.ts";
import { Message } from "./message.ts";

/** Holds back messages for a receiver that does not read. */
export interface SendWindow {
  /** Resolves when the frame has left. Undefined if it has already left. */
  send(frame: Frame, options?: WaitOptions): Promise<void> | undefined;
  /** Ends the sending. Waiting messages are not sent; they reject with a ChannelError. */
  end(reason: string): void;
}

/** The sending end of a {@link Receiver}. It works in every context: pass it as an argument, or return it. */
export class Sender<T = unknown> {
  /** The context that receives. */
  readonly contextId: number;
  /** The handle of the receiver there. */
  readonly handle: number;
  /** @internal */
  readonly router: ContextRouter;
  #window: SendWindow | undefined;

  /** @internal */
  constructor(router: ContextRouter, contextId: number, handle: number) {
    checkNumber("Sender", handle, "toSender()");
    this.router = router;
    this.contextId = contextId;
    this.handle = handle;
  }

  /**
   * Sends one value. Values arrive in the order in which they were sent. Resolves once the receiver has read enough
   * of the earlier values: at most about 1 MiB is on its way. Values whose `send` you do not await queue in this
   * process's memory. Rejects with a TypeError or RangeError for a value that cannot travel and for invalid
   * `options`, and with a ChannelError if the receiver is known to be gone. If the receiver reads nothing, the wait
   * lasts as long as its context, unless `options` bound it. When a bound is reached, `send` rejects with a
   * TimeoutError or the reason of the signal, and the value is not sent.
   */
  async send(value: T, options?: WaitOptions): Promise<void> {
    const message = Message.to(this.router, { dstId: this.contextId, handle: this.handle }, { value });
    await this.dispatch(message, options);
  }

  /** Tells the receiver that nothing more will come. Its iteration ends. */
  close(): void {
    const reason = `The sender in context ${this.router.contextId} was closed`;
    // Sent after the waiting messages. A receiver that is gone needs no close.
    this.dispatch(this.router.deadFrame(this.contextId, this.handle, reason))?.catch(() => undefined);
  }

  private dispatch(frame: Frame, options?: WaitOptions): Promise<void> | undefined {
    this.#window ??= this.router.requireFeatures().newWindow(this.contextId);
    return this.#window.send(frame, options);
  }

  /** `Sender(1:12)`: context and handle. */
  toString(): string {
    return `Sender(${this.contextId}:${this.handle})`;
  }
}

printAsText(Sender);
travelsAs(Sender, ({ contextId, handle, router }) => ({ kind: "sender", contextId, handle, router }));
