import type { Frame } from "../wire/frame.ts";
import type { PassBytes } from "../wire/frame-decoder.ts";

/** Called by a link; set once, by the router that owns it, before anything can arrive. */
export interface LinkEvents {
  /** A frame arrived. Runs on the event loop; must not throw. */
  onFrame(frame: Frame): void;
  /** Asked first, about a frame as it came: true if it was passed on like that. */
  readonly onBytes?: PassBytes | undefined;
  /** Nothing will arrive or leave any more. Called exactly once, `reason` says why in a sentence. */
  onClosed(reason: string): void;
  /** `send` would answer true. Called after it has answered false, maybe more often. */
  onDrained?(): void;
}

/** A pipe of frames to one neighbouring context. Frames arrive in the order they were sent, or not at all. */
export interface Link {
  /** For logs: `ssh.web1`, `parent`. */
  readonly name: string;

  /** Bytes accepted and not yet taken by the other side, or by the operating system. Absent where nothing queues. */
  readonly queuedBytes?: number;

  /** Starts delivery. Frames that came earlier are delivered first. */
  open(events: LinkEvents): void;

  /**
   * Queues a frame; always accepts. False asks the sender to wait for less to be queued. After close or
   * abort the frame is dropped: who waits for an answer has been told by `onClosed`.
   */
  send(frame: Frame): boolean;

  /** Queues a copy of an encoded frame. False, and nothing has happened, where it has to be sent as a frame. */
  sendBytes?(bytes: Buffer, start: number, end: number): boolean;

  /** Takes nothing from the other side until `resume`: what is sent to it waits there. Absent where that cannot be done. */
  pause?(): void;
  resume?(): void;

  /** Resolves when `send` would answer true, and when the link has ended. Absent where nothing queues, or nobody asks. */
  drained?(): Promise<void>;

  /** Writes what is queued, then ends the sending side. Safe to call twice. */
  close(): void;

  /** Ends both sides now and drops what is queued; `onClosed` gets `reason`. */
  abort(reason: string): void;
}
