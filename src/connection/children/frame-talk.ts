import { TimeoutError } from "../../errors.ts";
import type { FrameRouter } from "../../routing/frame-router.ts";
import { encodeValue } from "../../wire/cbor/encoder.ts";
import type { Frame } from "../../wire/frame.ts";

/** Requests and answers of a broker thread, whose router knows frames but no values. */
export class FrameTalk {
  readonly #router: FrameRouter;

  constructor(router: FrameRouter) {
    this.#router = router;
  }

  send(dstId: number, handle: number, replyTo: number, value: unknown): void {
    this.#router.routeFrame(this.#router.frame(dstId, handle, encodeValue(value), replyTo));
  }

  /** Answers a request. Does nothing for a message that wants no answer. */
  answer(frame: Frame, value: unknown): void {
    if (frame.replyTo !== 0) this.send(frame.srcId, frame.replyTo, 0, value);
  }

  /**
   * Asks another context. Resolves with its answer, which may be a dead message. Rejects with a TimeoutError
   * that says `late` if none comes in time.
   */
  ask(contextId: number, handle: number, request: unknown, timeoutMs: number, late: string): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#router.unlisten(replyTo);
        reject(new TimeoutError(`${late} within ${timeoutMs} ms`));
      }, timeoutMs);
      const replyTo = this.#router.listen(
        (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        { isPersistent: false, respondentId: contextId },
      );
      this.send(contextId, handle, replyTo, request);
    });
  }
}
