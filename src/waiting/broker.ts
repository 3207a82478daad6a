import { KeepAlive } from "./keep-alive.ts";

/** Something that must end when its broker shuts down. Its `shutdown` resolves when it has ended, and has a bound. */
export interface Closable {
  shutdown(): Promise<void>;
}

/**
 * Owns the input and output of its routers. One broker may serve several routers, and a program may have several.
 *
 * ```ts
 * await using broker = new Broker();
 * const router = new Router(broker);
 * ```
 */
export class Broker {
  readonly #keepAlive: KeepAlive = new KeepAlive();
  readonly #closables: Set<Closable> = new Set();
  #shutdown: Promise<void> | undefined;

  /** Whether `shutdown` has been called. From then on nothing new is started. @internal */
  get isShutDown(): boolean {
    return this.#shutdown !== undefined;
  }

  /**
   * Ends all routers of this broker. Resolves when links are closed and children are reaped. Idempotent, never rejects.
   */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.closeAll();
    return this.#shutdown;
  }

  /** The same as {@link shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** Registers something that shutdown must end. Returns a function that removes it. @internal */
  own(closable: Closable): () => void {
    this.#closables.add(closable);
    return () => this.#closables.delete(closable);
  }

  /** Keeps the program alive until the matching {@link release}. Call it when a wait begins. @internal */
  hold(): void {
    this.#keepAlive.hold();
  }

  /** Call it when the wait of a {@link hold} has ended. @internal */
  release(): void {
    this.#keepAlive.release();
  }

  private async closeAll(): Promise<void> {
    this.hold();
    await Promise.allSettled([...this.#closables].map(async (closable) => closable.shutdown()));
    this.#closables.clear();
    this.#keepAlive.dispose();
  }
}
