import { decodeValue } from "../wire/cbor/decoder.ts";
import { encodeValue } from "../wire/cbor/encoder.ts";
import { bodyLength, Encoding, type Frame, joinBody } from "../wire/frame.ts";
import { Handle } from "../wire/handles.ts";
import { printAsText } from "../wire/values/inspectable.ts";
import type { Context, ContextRouter } from "./context.ts";

/** The most characters that are shown of a reason. */
const REASON_CHARACTERS = 4096;

/**
 * One message, received or to be routed. `T` is what its body decodes to.
 *
 * ```ts
 * router.addHandler((message) => message.reply("pong"), { handle: 2000 });
 * ```
 */
export class Message<T = unknown> {
  /** @internal */
  readonly encoding: Encoding;
  /** The id of the context that the message is for. */
  readonly dstId: number;
  /** The id of the context that sent the message; every hop checks it. */
  readonly srcId: number;
  /** The id of the context whose authority the message carries: the sender, or one above it. Every hop checks it. */
  readonly authId: number;
  /** The handle that the message is for. */
  readonly handle: number;
  /** The handle in the sending context that waits for an answer; 0 if none does. */
  readonly replyTo: number;
  /** @internal */
  readonly body: readonly Uint8Array[];
  /** @internal */
  readonly router: ContextRouter;

  /** @internal */
  constructor(router: ContextRouter, frame: Frame) {
    this.encoding = frame.encoding;
    this.dstId = frame.dstId;
    this.srcId = frame.srcId;
    this.authId = frame.authId;
    this.handle = frame.handle;
    this.replyTo = frame.replyTo;
    this.body = frame.body;
    this.router = router;
  }

  /**
   * Makes a message from this context. A `Uint8Array` given as `raw` travels as it is, a `value` as CBOR. Throws a
   * TypeError or RangeError for an invalid address or content, and for a value that cannot travel.
   */
  static to(
    router: ContextRouter,
    to: { dstId: number; handle: number; replyTo?: number },
    content: { value: unknown } | { raw: Uint8Array },
  ): Message {
    // Only programs can give something wrong, and a context has the check by then.
    router.features?.checkMessage(to, content);
    return new Message(router, {
      encoding: "raw" in content ? Encoding.RAW : Encoding.CBOR,
      dstId: to.dstId,
      handle: to.handle,
      replyTo: to.replyTo ?? 0,
      srcId: router.contextId,
      authId: router.contextId,
      body: "raw" in content ? [content.raw] : encodeValue(content.value, { limits: router.limits, router }),
    });
  }

  /** User code may use a message again, even after it was sent. @internal */
  get isKept(): boolean {
    return true;
  }

  /**
   * Whether this is a dead message: it says that no message will come, because the other end is gone or has refused.
   */
  get isDead(): boolean {
    return this.replyTo === Handle.IS_DEAD;
  }

  /** The context that sent the message. */
  get context(): Context {
    return this.router.contextById(this.srcId);
  }

  /**
   * Returns the value of the body. Throws a {@link ChannelError} for a dead message, the value itself if it is a
   * {@link CallError}, and a ProtocolError if the sender sent no valid value.
   */
  decode(): T {
    return this.router.decode(this) as T;
  }

  /**
   * Answers the message. Sends nothing if the message wants no answer (`replyTo` is 0), and logs
   * that as DEBUG. Throws a TypeError or
   * RangeError for a value that cannot travel.
   */
  reply(value: unknown): void {
    const { router, replyTo } = this;
    if (replyTo === 0 || this.isDead) router.features?.dropReply(this);
    else router.route(Message.to(router, { dstId: this.srcId, handle: replyTo }, { value }));
  }

  /** Addresses and size. The body is not shown: it may hold secrets. */
  toString(): string {
    // Bodies are not shown, because they may hold secrets.
    return `Message(${this.srcId}:${this.replyTo} -> ${this.dstId}:${this.handle}, auth ${this.authId}, ${bodyLength(this)} bytes)`;
  }
}

printAsText(Message);

/** The reason inside a dead message. A child may have sent it, so it is checked and cut. */
export function deadReason(frame: Frame): string {
  try {
    const reason = decodeValue(joinBody(frame));
    if (typeof reason === "string" && reason !== "") return reason.slice(0, REASON_CHARACTERS);
  } catch {
    // Without a readable reason it is still a dead message.
  }
  return `Context ${frame.srcId} closed the channel`;
}
