import { travelsAs } from "../wire/references.ts";
import { printAsText } from "./inspectable.ts";
import { Message } from "./message.ts";
import type { CoreRouter } from "./router.ts";

/**
 * The sending end of a {@link Receiver}, usable from any context: pass it as an argument or return it.
 */
export class Sender<T = unknown> {
  readonly contextId: number;
  readonly handle: number;
  readonly #router: CoreRouter;

  constructor(router: CoreRouter, contextId: number, handle: number) {
    this.#router = router;
    this.contextId = contextId;
    this.handle = handle;
  }

  /** Sends one value; arrives in the order sent. Rejects with a TypeError for a value that cannot travel. */
  async send(value: T): Promise<void> {
    this.#router.route(Message.to(this.#router, { dstId: this.contextId, handle: this.handle }, { value }));
  }

  /** Tells the receiver that nothing more will come; its iteration ends. */
  close(): void {
    const reason = `The sender in context ${this.#router.contextId} was closed`;
    this.#router.routeFrame(this.#router.deadFrame(this.contextId, this.handle, reason));
  }

  toString(): string {
    return `Sender(${this.contextId}:${this.handle})`;
  }
}

printAsText(Sender);
travelsAs(Sender, ({ contextId, handle }) => ({ kind: "sender", contextId, handle }));
