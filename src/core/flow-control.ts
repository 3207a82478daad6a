import { ChannelError } from "../errors.ts";
import { WAIT_OPTIONS } from "../options/option-types.ts";
import { readOptions } from "../options/options.ts";
import { awaitWithin, type WaitOptions } from "../waiting/wait.ts";
import { decodeValue } from "../wire/cbor/decoder.ts";
import { isCreditHandle } from "../wire/credit-handles.ts";
import { bodyLength, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { callSite, placedAt, placedAtWaiter } from "./call-site.ts";
import { deadReason, Message } from "./message.ts";
import type { CoreRouter } from "./router.ts";

/**
 * The most bytes that one sender may have sent to one receiver and that are unread:
 * docs/protocol.md#flow-control.
 */
export const WINDOW_BYTES: number = 1024 * 1024;
/** The receiver reports its reading in steps of this size. */
const STEP_BYTES = WINDOW_BYTES / 4;
/**
 * A sender asks for credit only after it has sent this much. Most senders never do, and then there is nothing
 * to clean up.
 */
const FREE_BYTES = 64 * 1024;
/** The cost of a message besides its body. */
const FRAME_COST = 64;
/** How long a few read bytes may stay unreported. */
const SETTLE_MS = 1000;
/**
 * For how many senders unreported reading is kept. A hostile sender may use another handle for each message.
 */
const MAX_DUE = 1000;

function costOf(frame: Frame): number {
  return bodyLength(frame) + FRAME_COST;
}

interface Waiting {
  readonly frame: Frame;
  resolve(): void;
  reject(error: Error): void;
}

/** How many functions of this library are between here and the caller of `Sender`. */
const BETWEEN = 2;

/** The sending side: holds messages back while the receiver has too much to read. */
export class Window {
  readonly #router: CoreRouter;
  readonly #contextId: number;
  #free = FREE_BYTES;
  #unread = 0;
  /** The handle at which the receiver reports its reading. 0 while nothing is unread. */
  #creditHandle = 0;
  #endReason: string | undefined;
  readonly #waiting: Set<Waiting> = new Set();

  constructor(router: CoreRouter, contextId: number) {
    this.#router = router;
    this.#contextId = contextId;
  }

  /**
   * Sends a message. Messages leave in order. Resolves when the message has left. Rejects with a ChannelError
   * once the receiver is gone, with a RangeError for a value that is too large, and when a bound ends the wait. Throws
   * for wrong options.
   */
  send(frame: Frame, given?: WaitOptions): Promise<void> | undefined {
    const options = given === undefined ? {} : readOptions("send", given, WAIT_OPTIONS);
    if (options.signal?.aborted === true) return Promise.reject(options.signal.reason);
    if (this.#endReason !== undefined) {
      const error = new ChannelError(this.#endReason);
      return Promise.reject(placedAt(error, callSite(this.send, BETWEEN)()));
    }
    const { maxMessageBytes } = this.#router;
    if (bodyLength(frame) > maxMessageBytes) {
      const error = new RangeError(
        `Cannot send value: the message would be larger than ${maxMessageBytes} bytes`,
      );
      return Promise.reject(placedAt(error, callSite(this.send, BETWEEN)()));
    }
    if (this.#waiting.size === 0 && this.mayLeave(frame)) {
      this.dispatch(frame);
      return undefined;
    }
    return this.wait(frame, options);
  }

  private async wait(frame: Frame, options: WaitOptions): Promise<void> {
    let waiting: Waiting | undefined;
    try {
      await awaitWithin<void>(
        this.#router.broker,
        options,
        () => `send to context ${this.#contextId}, which does not read`,
        (resolve, reject) => {
          waiting = { frame, resolve, reject };
          this.#waiting.add(waiting);
        },
        // The wait has ended. The messages after it, above all the close, need not wait for a receiver that
        // reads nothing.
        () => this.#waiting.delete(waiting as Waiting) && this.advance(),
      );
    } catch (error) {
      await placedAtWaiter(error, BETWEEN);
      throw error;
    }
  }

  private mayLeave(frame: Frame): boolean {
    // A close never waits for credit.
    if (frame.replyTo === Handle.IS_DEAD) return true;
    // The receiver may leave up to a step unreported, and no message may wait for that.
    return this.#unread <= STEP_BYTES || this.#unread + costOf(frame) <= WINDOW_BYTES;
  }

  private dispatch(frame: Frame): void {
    const cost = costOf(frame);
    this.#free -= cost;
    if (this.#free >= 0 || frame.replyTo !== 0) {
      this.#router.routeFrame(frame);
      return;
    }
    this.#unread += cost;
    if (this.#creditHandle === 0) {
      this.#creditHandle = this.#router.listen((answer) => this.onCredit(answer), {
        handle: this.#router.freeCreditHandle(),
        respondentId: this.#contextId,
      });
    }
    // A copy of the header, because the link owns its frame and may move the body instead of copying it.
    this.#router.routeFrame({ ...frame, replyTo: this.#creditHandle });
  }

  /**
   * Receives the number of bytes read. The receiver may lie, but it must not make this process send more than
   * it reads.
   */
  private onCredit(answer: Frame): void {
    const { replyTo } = answer;
    const read = replyTo === Handle.IS_DEAD ? Number.NaN : Number(decodeValue(joinBody(answer)));
    if (!(read > 0)) {
      this.end(deadReason(answer));
      return;
    }
    if (read > this.#unread) {
      this.end(`The receiver in context ${this.#contextId} claims to have read more than it was sent`);
      return;
    }
    this.#unread -= read;
    this.advance();
    if (this.#unread === 0) this.forget();
  }

  private advance(): void {
    for (const next of this.#waiting) {
      if (!this.mayLeave(next.frame)) return;
      this.#waiting.delete(next);
      this.dispatch(next.frame);
      next.resolve();
    }
  }

  /** Ends the sending. Waiting messages are not sent; they reject with a ChannelError. */
  end(reason: string): void {
    this.#endReason = reason;
    this.forget();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new ChannelError(reason));
  }

  private forget(): void {
    this.#router.unlisten(this.#creditHandle);
    this.#creditHandle = 0;
  }
}

interface Due {
  readonly srcId: number;
  readonly handle: number;
  bytes: number;
}

/** The receiving side: reports to senders what has been read. */
export class Credits {
  readonly #router: CoreRouter;
  /** Made when a sender first asks for credit, which most senders never do. */
  #due: Map<string, Due> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(router: CoreRouter) {
    this.#router = router;
  }

  /** Called when a message has been taken from the queue. */
  consumed(frame: Frame): void {
    const { srcId, replyTo } = frame;
    if (!isCreditHandle(replyTo)) return;
    const key = `${srcId}:${replyTo}`;
    this.#due ??= new Map();
    let due = this.#due.get(key);
    if (due === undefined) {
      if (this.#due.size >= MAX_DUE) this.settle();
      due = { srcId, handle: replyTo, bytes: 0 };
      this.#due.set(key, due);
    }
    due.bytes += costOf(frame);
    if (due.bytes >= STEP_BYTES) this.tell(due);
    else this.#timer ??= setTimeout(() => this.settle(), SETTLE_MS).unref();
  }

  /** Called when nothing more will be read: the senders of `frames` need not wait. */
  refuse(frames: Iterable<Frame>, reason: string): void {
    this.settle();
    for (const { srcId, replyTo } of frames) {
      if (isCreditHandle(replyTo)) this.#router.routeFrame(this.#router.deadFrame(srcId, replyTo, reason));
    }
  }

  private settle(): void {
    clearTimeout(this.#timer as NodeJS.Timeout);
    this.#timer = undefined;
    for (const due of this.#due?.values() ?? []) this.tell(due);
    this.#due?.clear();
  }

  private tell(due: Due): void {
    if (due.bytes === 0) return;
    const to = { dstId: due.srcId, handle: due.handle };
    this.#router.route(Message.to(this.#router, to, { value: due.bytes }));
    due.bytes = 0;
  }
}
