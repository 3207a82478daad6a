import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { tryWrite } from "../links/descriptor.ts";
import type { Link, LinkEvents } from "../links/link.ts";
import { SharedBatch } from "../links/shared-batch.ts";
import { asBuffer, costOf, HIGH_WATER, hand, ownBytes, ownPieces } from "../links/thread-link.ts";
import { type ControlMessage, Word, Writer } from "../links/thread-state.ts";
import { bodyLength, type Frame, frameLength } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { TRANSPORT_OUT } from "./shared-state.ts";

/** Larger frames go through the broker, because a pipe would not take them in one write. */
const DIRECT_BYTES = 16 * 1024;

/**
 * The main thread's link to everything else, through its broker thread. If the broker has nothing queued,
 * small frames to a parent are written to the parent directly, without passing the broker thread.
 */
export class BrokerLink implements Link {
  readonly name: string = "broker thread";
  /** Set this when something is written to this process's stdout or stderr: it then leaves before the next frame. */
  hasOutput = false;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  #parentIds: ReadonlySet<number> = new Set();
  /** Small frames that have not left. */
  readonly #batch: SharedBatch;
  /** Whether all frames of the batch are for contexts above. */
  #isDirect = true;
  /** Whether something was sent in this turn. */
  #isBusy = false;
  readonly #decoder: FrameDecoder = new FrameDecoder(0xffffffff);
  #events: LinkEvents | undefined;
  #urgent: ((frame: Frame) => boolean) | undefined;
  readonly #inbox: Frame[] = [];
  #backlog: Frame[] = [];
  #isBacklogScheduled = false;

  constructor(port: MessagePort, words: Int32Array) {
    this.#port = port;
    this.#words = words;
    this.#batch = new SharedBatch(words);
    port.on("message", (bytes: Uint8Array) => this.receive(bytes));
  }

  /** From now on this thread may write frames for these contexts itself, to the descriptor of the parent. */
  writeDirectlyTo(parentIds: readonly number[]): void {
    this.#parentIds = new Set(parentIds);
  }

  open(events: LinkEvents): void {
    this.#events = events;
  }

  /** Delivers a frame that was not posted. */
  take(frame: Frame): void {
    this.#events?.onFrame(frame);
  }

  /** Takes a posted message: frames, or a part of a large frame. */
  receive(bytes: Uint8Array): void {
    this.#decoder.push(asBuffer(bytes), (frame) => this.#inbox.push(frame));
    // Only after decoding, because a call may wait synchronously, and take further messages meanwhile.
    for (let frame = this.#inbox.shift(); frame !== undefined; frame = this.#inbox.shift())
      this.dispatchFrame(frame);
  }

  /**
   * Sends the first frame of a turn at once. The others leave at the end of the turn, or when the broker thread
   * takes them because this turn lasts too long.
   */
  send(frame: Frame): boolean {
    const bytes = frameLength(frame);
    if (bytes > DIRECT_BYTES) {
      this.flushFrames();
      this.postFrames(ownPieces(frame));
      return true;
    }
    if (!this.#batch.add(frame, bytes)) {
      this.flushFrames();
      this.#batch.add(frame, bytes);
    }
    if (!this.#parentIds.has(frame.dstId)) this.#isDirect = false;
    if (!this.#isBusy) {
      this.#isBusy = true;
      process.nextTick(() => {
        this.#isBusy = false;
        this.flushFrames();
      });
      this.flushFrames();
    } else if (Atomics.exchange(this.#words, Word.WATCH, 1) === 0) this.postControl({});
    return true;
  }

  private flushFrames(): void {
    const bytes = this.#batch.take();
    const isDirect = this.#isDirect;
    this.#isDirect = true;
    if (bytes.length > 0 && !(isDirect && this.writeDirectly(bytes))) this.postFrames([bytes]);
  }

  private postFrames(pieces: readonly Uint8Array[]): void {
    hand(pieces, (frames, moved) => {
      Atomics.add(this.#words, Word.POSTED, 1);
      this.postControl({ frames, hasOutput: this.hasOutput }, moved);
      this.hasOutput = false;
    });
  }

  close(): void {}

  abort(): void {}

  /**
   * Blocks until `isDone`. Meanwhile it delivers only frames for which `isUrgent` is true. The others are
   * delivered in their order when the event loop runs again. If the parent, which alone can answer, is lost,
   * the broker thread ends the process.
   */
  waitFor(isUrgent: (frame: Frame) => boolean, isDone: () => boolean): void {
    this.flushFrames();
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

  /** Passes `exitReason` to the broker thread. Blocks until everything has been sent, or `timeoutMs` has passed. */
  flushBeforeExit(exitReason: string, timeoutMs: number): void {
    this.flushFrames();
    this.postControl({ exitReason });
    Atomics.wait(this.#words, Word.FLUSHED, 0, timeoutMs);
  }

  private writeDirectly(bytes: Uint8Array): boolean {
    const words = this.#words;
    if (this.hasOutput || Atomics.load(words, Word.POSTED) !== 0) return false;
    if (Atomics.compareExchange(words, Word.WRITER, Writer.NOBODY, Writer.MAIN) !== Writer.NOBODY)
      return false;
    // The broker handles a lost parent: it gets the bytes that could not be written, and notices the loss.
    const written = tryWrite(TRANSPORT_OUT, bytes);
    if (written < bytes.length) {
      Atomics.store(words, Word.WRITER, Writer.BROKER);
      this.postControl({ rest: ownBytes([bytes.subarray(written)]) });
    } else {
      Atomics.store(words, Word.WRITER, Writer.NOBODY);
    }
    Atomics.notify(words, Word.WRITER);
    return true;
  }

  private postControl(message: ControlMessage, moved: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, moved);
  }

  private dispatchFrame(frame: Frame): void {
    if (this.#urgent !== undefined ? !this.#urgent(frame) : this.#backlog.length > 0) {
      this.#backlog.push(frame);
      if (!this.#isBacklogScheduled) {
        this.#isBacklogScheduled = true;
        setImmediate(() => this.deliverBacklog());
      }
      return;
    }
    this.deliverFrame(frame);
  }

  private deliverFrame(frame: Frame): void {
    const cost = costOf(bodyLength(frame));
    const unread = Atomics.sub(this.#words, Word.UNREAD, cost);
    // The broker may have stopped others until this thread has caught up.
    if (unread >= HIGH_WATER && unread - cost < HIGH_WATER) this.postControl({});
    this.#events?.onFrame(frame);
  }

  private deliverBacklog(): void {
    this.#isBacklogScheduled = false;
    // One at a time from the same queue, because a handler may wait synchronously and add to it.
    for (let frame = this.#backlog.shift(); frame !== undefined; frame = this.#backlog.shift()) {
      this.deliverFrame(frame);
    }
  }
}
