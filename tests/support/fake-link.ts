import type { Link, LinkEvents } from "../../src/links/link.ts";
import type { Frame } from "../../src/wire/frame.ts";

/** A link whose far end is the test: it sees every frame sent, and says what arrives. */
export class FakeLink implements Link {
  readonly name: string;
  readonly sent: Frame[] = [];
  /** While true, `send` returns false. */
  isBackedUp = false;
  queuedBytes = 0;
  isPaused = false;
  #events: LinkEvents | undefined;

  constructor(name = "fake") {
    this.name = name;
  }

  open(events: LinkEvents): void {
    this.#events = events;
  }

  send(frame: Frame): boolean {
    this.sent.push(frame);
    return !this.isBackedUp;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  /** The far end has read what was sent. */
  drain(): void {
    this.isBackedUp = false;
    this.queuedBytes = 0;
    this.#events?.onDrained?.();
  }

  close(): void {
    this.end("closed");
  }

  abort(reason: string): void {
    this.end(reason);
  }

  /** A frame arrives. */
  receive(frame: Frame): void {
    this.#events?.onFrame(frame);
  }

  /** The far end is gone. */
  end(reason: string): void {
    this.#events?.onClosed(reason);
  }
}
