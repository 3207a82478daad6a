import type { Context } from "../../core/context.ts";
import { ChannelError } from "../../errors.ts";
import type { FrameHandler } from "../../routing/handler-table.ts";
import { type WaitOptions, watchBounds } from "../../waiting/wait.ts";
import type { Frame } from "../../wire/frame.ts";

export interface RequestOptions extends WaitOptions {
  /** The request does not keep the program alive. */
  readonly isUnheld?: boolean;
}

/**
 * A request from start to end. It ends with its answer, or with any event that makes waiting pointless. The
 * object is also the handler of the answer. It keeps the program alive until it ends, unless the caller waits for
 * something else.
 */
export class PendingRequest implements FrameHandler {
  readonly context: Context;
  /** The handle of the request at the target. */
  readonly to: number;
  readonly respondentId: number;
  /** Settled exactly once. */
  protected readonly resolve: (value: unknown) => void;
  protected readonly reject: (error: unknown) => void;
  isOver = false;
  // The fields of the handler table.
  handle = 0;
  next: FrameHandler["next"];
  previous: FrameHandler["previous"];
  private stopWatching: (() => void) | undefined;
  private isHeld = false;

  constructor(
    context: Context,
    to: number,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.context = context;
    this.to = to;
    this.respondentId = context.contextId;
    this.resolve = resolve;
    this.reject = reject;
  }

  /**
   * Begins the wait and returns the handle for `replyTo`. Throws, before anything has begun, if no answer can
   * come.
   */
  begin(options: RequestOptions): number {
    const { signal, timeoutMs, isUnheld } = options;
    const { goneReason, router } = this.context;
    if (signal?.aborted === true) throw signal.reason;
    if (goneReason !== undefined) throw new ChannelError(goneReason);
    this.isHeld = isUnheld !== true;
    if (this.isHeld) router.broker.hold();
    if (signal !== undefined || timeoutMs !== undefined) {
      this.stopWatching = watchBounds(
        options,
        () => this.what(),
        (reason) => this.giveUp(reason),
      );
    }
    return router.expect(this);
  }

  onFrame(frame: Frame): void {
    let value: unknown;
    try {
      value = this.context.router.decode(frame);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.end()) this.resolve(value);
  }

  /** Ends the request without an answer. No effect if it is over. */
  fail(error: unknown): void {
    if (this.end()) this.reject(error);
  }

  /** Called when a bound is reached. */
  protected giveUp(reason: unknown): void {
    this.fail(reason);
  }

  /** Completes "Cannot". */
  protected what(): string {
    return `reach ${this.context.name}`;
  }

  /** Ends the request. Returns false if it was already over. */
  protected end(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    const { router } = this.context;
    this.stopWatching?.();
    if (this.isHeld) router.broker.release();
    router.unlisten(this.handle);
    return true;
  }
}
