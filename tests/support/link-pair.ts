import type { Link, LinkEvents } from "../../src/links/link.ts";
import { encodeFrame, type Frame } from "../../src/wire/frame.ts";
import { FrameDecoder } from "../../src/wire/frame-decoder.ts";

/**
 * Two links that are each other's far end. Frames cross as bytes, in order, before `send` returns; after
 * `hold` they pile up until `release`, so a race can be staged.
 */
export class LinkPair {
  readonly left: MemoryLink;
  readonly right: MemoryLink;

  constructor(leftName = "left", rightName = "right") {
    this.left = new MemoryLink(leftName, this);
    this.right = new MemoryLink(rightName, this);
    this.left.far = this.right;
    this.right.far = this.left;
  }

  /** From now on nothing arrives, in either direction, not even the end. */
  hold(): void {
    this.left.isHeld = true;
    this.right.isHeld = true;
  }

  /** Delivers what was held, oldest first, and stops holding. */
  release(): void {
    for (const link of [this.left, this.right]) link.isHeld = false;
    for (const link of [this.left, this.right]) link.deliver();
  }

  /** Breaks the connection: held frames are lost, and both ends are told. */
  cut(reason = "cut"): void {
    this.left.abort(reason);
  }
}

/** One end of a {@link LinkPair}. */
export class MemoryLink implements Link {
  readonly name: string;
  /** What this end has sent, delivered or not. */
  readonly sent: Frame[] = [];
  far!: MemoryLink;
  isHeld = false;
  isClosed = false;
  readonly #pair: LinkPair;
  readonly #decoder: FrameDecoder = new FrameDecoder(0xffffffff);
  readonly #inbox: (Buffer | "end")[] = [];
  #events: LinkEvents | undefined;
  #isClosing = false;
  #isDelivering = false;

  constructor(name: string, pair: LinkPair) {
    this.name = name;
    this.#pair = pair;
  }

  open(events: LinkEvents): void {
    this.#events = events;
    this.deliver();
  }

  send(frame: Frame): boolean {
    if (this.#isClosing || this.isClosed) return true;
    this.sent.push(frame);
    this.far.take(Buffer.concat(encodeFrame(frame)));
    return true;
  }

  close(): void {
    if (this.#isClosing || this.isClosed) return;
    this.#isClosing = true;
    this.far.take("end");
  }

  abort(reason: string): void {
    for (const link of [this.#pair.left, this.#pair.right]) link.finish(reason);
  }

  private take(item: Buffer | "end"): void {
    this.#inbox.push(item);
    this.deliver();
  }

  deliver(): void {
    // A handler that sends makes the other end deliver meanwhile. Frames still arrive in the order of sending.
    if (this.#isDelivering || this.#events === undefined) return;
    this.#isDelivering = true;
    while (!this.isHeld && !this.isClosed) {
      const item = this.#inbox.shift();
      if (item === undefined) break;
      if (item === "end") this.abort(`${this.name}: connection closed`);
      else this.#decoder.push(item, (frame) => this.#events?.onFrame(frame));
    }
    this.#isDelivering = false;
  }

  private finish(reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#inbox.length = 0;
    this.#events?.onClosed(reason);
  }
}
