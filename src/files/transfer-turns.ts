import type { Message } from "../core/message.ts";
import { Invoker, type ServiceCall } from "../service/invoker.ts";

/** How many files are sent to one context at once. */
export const MAX_TRANSFERS_PER_CONTEXT = 8;
/** How many files are sent at once in all. Each takes a descriptor, and up to 3 MiB for unread bytes. */
export const MAX_TRANSFERS = 128;

/** The transfers that requests have begun, until the invoker takes them. */
const begun: WeakMap<Message, Promise<void>> = new WeakMap();

/** Registers that the turn of a request ends with `over`, which never rejects. */
export function noteTransfer(request: Message, over: Promise<void>): void {
  begun.set(request, over);
}

/**
 * Lets fetches wait for their turn before a file is opened. Contexts take turns, so a context that asks for
 * thousands does not delay the others. The pool limits how many may wait.
 */
export class TransferTurns extends Invoker {
  /** How many transfers run, by context. */
  readonly #running: Map<number, number> = new Map();
  #total = 0;
  /** The waiting fetches, by context. The context whose turn is next is first. */
  readonly #waiting: Map<number, (() => void)[]> = new Map();

  override async invoke(call: ServiceCall): Promise<unknown> {
    if (call.method !== "fetch") return await call.run();
    const { message } = call;
    const { srcId } = message;
    await this.turnOf(srcId);
    let over: Promise<void> | undefined;
    try {
      const metadata = await call.run();
      over = begun.get(message);
      return metadata;
    } finally {
      void Promise.resolve(over).then(() => this.end(srcId));
    }
  }

  private turnOf(contextId: number): Promise<void> | undefined {
    const waiting = this.#waiting.get(contextId);
    if (waiting === undefined && this.mayBegin(contextId)) {
      this.begin(contextId);
      return undefined;
    }
    return new Promise((resolve) => {
      if (waiting === undefined) this.#waiting.set(contextId, [resolve]);
      else waiting.push(resolve);
    });
  }

  private mayBegin(contextId: number): boolean {
    return this.#total < MAX_TRANSFERS && (this.#running.get(contextId) ?? 0) < MAX_TRANSFERS_PER_CONTEXT;
  }

  private begin(contextId: number): void {
    this.#total += 1;
    this.#running.set(contextId, (this.#running.get(contextId) ?? 0) + 1);
  }

  private end(contextId: number): void {
    this.#total -= 1;
    const left = (this.#running.get(contextId) as number) - 1;
    if (left === 0) this.#running.delete(contextId);
    else this.#running.set(contextId, left);
    for (const [nextId, waiting] of this.#waiting) {
      if (!this.mayBegin(nextId)) continue;
      const start = waiting.shift() as () => void;
      // Moved to the end.
      this.#waiting.delete(nextId);
      if (waiting.length > 0) this.#waiting.set(nextId, waiting);
      this.begin(nextId);
      start();
      return;
    }
  }
}
