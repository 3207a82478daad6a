import type { Frame } from "../wire/frame.ts";
import type { PassBytes } from "../wire/frame-decoder.ts";

/** A link calls these. The router that owns the link sets them once, before anything can arrive. */
export interface LinkEvents {
  /** A frame arrived. Runs on the event loop; must not throw. */
  onFrame(frame: Frame): void;
  /**
   * Called before `onFrame`, with the bytes of a frame. If it returns true, it has passed them on unchanged, and
   * `onFrame` is not called.
   */
  readonly onBytes?: PassBytes | undefined;
  /** Nothing will arrive or leave any more. Called exactly once; `reason` is a sentence. */
  onClosed(reason: string): void;
  /** `send` would return true again. Called after `send` has returned false, and perhaps at other times. */
  onDrained?(): void;
}

/**
 * A connection that carries frames to one neighbour. Frames from one context to another arrive in the order in
 * which they were sent, or not at all. Frames of other contexts, and a few whose order does not matter, may
 * overtake them: src/links/lanes.ts.
 */
export interface Link {
  /** The name in logs: `ssh.web1`, `parent`. */
  readonly name: string;

  /**
   * Bytes accepted and not yet taken by the other side, or by the operating system. Absent if the link has no
   * queue.
   */
  readonly queuedBytes?: number;

  /** Starts delivery. Frames that came earlier are delivered first. */
  open(events: LinkEvents): void;

  /**
   * Queues a frame. Always accepts it. False asks the sender to wait until less is queued. After close or
   * abort the frame is dropped: `onClosed` has told the callers that wait for answers.
   */
  send(frame: Frame): boolean;

  /** Queues a copy of an encoded frame. Returns false, without any effect, if it must be sent as a frame. */
  sendBytes?(bytes: Buffer, start: number, end: number): boolean;

  /** Stops reading from the other side until `resume`. Absent if the link cannot do that. */
  pause?(): void;
  resume?(): void;

  /**
   * Resolves when `send` would return true, and when the link has ended. Absent if the link has no queue, or
   * if nobody needs it.
   */
  drained?(): Promise<void>;

  /** Writes what is queued, then ends the sending side. Safe to call twice. */
  close(): void;

  /** Ends both sides now and drops what is queued; `onClosed` gets `reason`. */
  abort(reason: string): void;
}
