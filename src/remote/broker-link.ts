import { writeSync } from "node:fs";
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Link, LinkEvents } from "../core/link.ts";
import { asBuffer, costOf, HIGH_WATER, hand, ownBytes, ownPieces } from "../core/thread-link.ts";
import { type ControlMessage, Word, Writer } from "../core/thread-state.ts";
import type { Frame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { TRANSPORT_OUT } from "./shared-state.ts";

/** Larger frames go through the broker: a pipe would not take them in one write. */
const DIRECT_BYTES = 16 * 1024;

/**
 * The main thread's link to everything else, through its broker thread. Small frames to a parent are written to the parent
 * directly when the broker has nothing queued: that saves the way through the other thread.
 */
export class BrokerLink implements Link {
  readonly name: string = "broker thread";
  /** Set by whoever writes to this process's stdout or stderr; output then goes ahead of the next frame. */
  hasOutput = false;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  #parentIds: ReadonlySet<number> = new Set();
  readonly #decoder: FrameDecoder = new FrameDecoder(0xffffffff);
  #events: LinkEvents | undefined;
  #urgent: ((frame: Frame) => boolean) | undefined;
  #backlog: Frame[] = [];
  #isBacklogScheduled = false;

  constructor(port: MessagePort, words: Int32Array) {
    this.#port = port;
    this.#words = words;
    port.on("message", (bytes: Uint8Array) => this.receive(bytes));
  }

  /** From now on frames to these, which all leave by the descriptor to the parent, may take the short way. */
  writeDirectlyTo(parentIds: readonly number[]): void {
    this.#parentIds = new Set(parentIds);
  }

  open(events: LinkEvents): void {
    this.#events = events;
  }

  /** Takes a frame that was not posted. */
  take(frame: Frame): void {
    this.#events?.onFrame(frame);
  }

  /** Takes one posted message: frames, or a part of a large one. */
  receive(bytes: Uint8Array): void {
    this.#decoder.push(asBuffer(bytes), (frame) => this.dispatch(frame));
  }

  send(frame: Frame): boolean {
    const pieces = ownPieces(frame);
    const [first] = pieces;
    if (
      first !== undefined &&
      pieces.length === 1 &&
      this.#parentIds.has(frame.dstId) &&
      this.writeDirectly(first)
    ) {
      return true;
    }
    hand(pieces, (frames, moved) => {
      Atomics.add(this.#words, Word.POSTED, 1);
      this.post({ frames, hasOutput: this.hasOutput }, moved);
      this.hasOutput = false;
    });
    return true;
  }

  close(): void {}

  abort(): void {}

  /**
   * Blocks until `isDone`, delivering meanwhile only the frames `isUrgent` names; the others follow, in their order, when
   * the event loop runs again. The broker ends the process if the parent, the only one who can answer, is lost.
   */
  waitFor(isUrgent: (frame: Frame) => boolean, isDone: () => boolean): void {
    const outer = this.#urgent;
    this.#urgent = isUrgent;
    try {
      while (!isDone()) {
        const seen = Atomics.load(this.#words, Word.WAKE);
        const received = receiveMessageOnPort(this.#port);
        if (received !== undefined) this.receive(received.message as Uint8Array);
        else Atomics.wait(this.#words, Word.WAKE, seen);
      }
    } finally {
      this.#urgent = outer;
    }
  }

  /** Hands `reason` to the broker and blocks until everything has been sent, or `timeoutMs` has passed. */
  flushBeforeExit(exitReason: string, timeoutMs: number): void {
    this.post({ exitReason });
    Atomics.wait(this.#words, Word.FLUSHED, 0, timeoutMs);
  }

  private writeDirectly(bytes: Uint8Array): boolean {
    const words = this.#words;
    if (bytes.length > DIRECT_BYTES || this.hasOutput || Atomics.load(words, Word.POSTED) !== 0) return false;
    if (Atomics.compareExchange(words, Word.WRITER, Writer.NOBODY, Writer.MAIN) !== Writer.NOBODY)
      return false;
    let written = 0;
    try {
      written = writeSync(TRANSPORT_OUT, bytes);
    } catch (error) {
      // A lost parent is the broker's business; it notices by itself.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") written = bytes.length;
    }
    if (written < bytes.length) {
      Atomics.store(words, Word.WRITER, Writer.BROKER);
      this.post({ rest: ownBytes([bytes.subarray(written)]) });
    } else {
      Atomics.store(words, Word.WRITER, Writer.NOBODY);
    }
    Atomics.notify(words, Word.WRITER);
    return true;
  }

  private post(message: ControlMessage, moved: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, moved);
  }

  private dispatch(frame: Frame): void {
    if (this.#urgent !== undefined ? !this.#urgent(frame) : this.#backlog.length > 0) {
      this.#backlog.push(frame);
      if (!this.#isBacklogScheduled) {
        this.#isBacklogScheduled = true;
        setImmediate(() => this.deliverBacklog());
      }
      return;
    }
    this.deliver(frame);
  }

  private deliver(frame: Frame): void {
    const cost = costOf(frame);
    const unread = Atomics.sub(this.#words, Word.UNREAD, cost);
    // It may have others wait until this thread has caught up.
    if (unread >= HIGH_WATER && unread - cost < HIGH_WATER) this.post({});
    this.#events?.onFrame(frame);
  }

  private deliverBacklog(): void {
    this.#isBacklogScheduled = false;
    // One at a time from the same queue: a handler may wait synchronously and add to it.
    for (let frame = this.#backlog.shift(); frame !== undefined; frame = this.#backlog.shift()) {
      this.deliver(frame);
    }
  }
}
