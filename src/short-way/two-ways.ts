import { readSync } from "node:fs";
import type { Socket } from "node:net";
import { writeNow } from "../links/descriptor.ts";
import { bodyLength, Encoding, type Frame, frameLength, readUint32, writeFrame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/values/thrown.ts";

/** Larger bodies go the long way, where bulk takes turns. */
const SHORT_BODY_BYTES = 16 * 1024;
/** Linux takes this many bytes as a whole or not at all. */
const BATCH_BYTES = 32 * 1024;
/** How many frames go the long way after the other end has not read the short one. */
const FULL_FRAMES = 64;
/** More than a socket holds. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** Frames for one short way that have not left. All short ways of this process share the memory. */
const batch: Buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
let batchEnd = 0;
let batchOwner: TwoWays | undefined;

/** The code at an end of two ways. */
export interface TwoWaysEnd {
  /** Sends a frame as if there were no short way. */
  sendLong(frame: Frame): void;
  /** Takes a frame that has arrived by the short way, in its turn. */
  deliver(frame: Frame): void;
  /** Called if the other end breaks the rules. */
  onBroken(reason: string): void;
}

/**
 * Two ways with one order of frames: the long way over links and broker threads, the short one over a socket.
 * Nothing waits for the socket: frames that the operating system does not take at once go the long way.
 * docs/protocol.md#short-way
 */
export class TwoWays {
  readonly peerId: number;
  /** The socket, while there is a short way. */
  socket: Socket | undefined;
  bytesSent = 0;
  bytesReceived = 0;
  readonly #ownId: number;
  readonly #end: TwoWaysEnd;
  readonly #decoder: FrameDecoder = new FrameDecoder(SHORT_BODY_BYTES, true);
  /** Whether the last frame went the long way. */
  #isLong = true;
  /** How many more frames go the long way. */
  #longFrames = 0;
  /** The numbers of the last fence sent, and of the last fence that arrived by the long way. */
  #sentFence = 0;
  #seenFence = 0;
  /** Frames that arrived by the short way after a fence that has not arrived by the long way. */
  #held: Frame[] = [];

  constructor(ownId: number, peerId: number, end: TwoWaysEnd) {
    this.#ownId = ownId;
    this.peerId = peerId;
    this.#end = end;
  }

  /** Makes a socket the short way, and tells the other end. */
  open(socket: Socket): void {
    this.socket = socket;
    this.append(this.sendFence());
    this.flush();
  }

  /**
   * Returns false if a frame must be sent the long way. `mayBeShort` says whether the caller allows the short
   * way, `isBehind` whether other frames went the long way before it.
   */
  sendShort(frame: Frame, mayBeShort: boolean, isBehind = false): boolean {
    if (!mayBeShort || this.socket === undefined || bodyLength(frame) > SHORT_BODY_BYTES) {
      this.flush();
      if (!this.#isLong) this.sendFence();
      this.#isLong = true;
      return false;
    }
    if (isBehind || batchOwner !== this || batchEnd + frameLength(frame) > BATCH_BYTES) batchOwner?.flush();
    if (this.#longFrames > 0) {
      this.#longFrames -= 1;
      return false;
    }
    if (this.#isLong || isBehind) this.append(this.sendFence());
    this.append(frame);
    return true;
  }

  private append(frame: Frame): void {
    if (batchOwner === undefined) process.nextTick(this.flush);
    batchOwner = this;
    batchEnd = writeFrame(batch, batchEnd, frame, frameLength(frame));
    this.#isLong = false;
  }

  /** Sends the frames that {@link sendShort} has taken. The end of the turn does the same. */
  readonly flush = (): void => {
    if (batchOwner !== this) return;
    const bytes = batch.subarray(0, batchEnd);
    batchOwner = undefined;
    batchEnd = 0;
    // The reader notices that the socket is lost.
    const taken = this.socket === undefined ? 0 : writeNow(this.socket, bytes);
    if (taken === bytes.length) {
      this.bytesSent += taken;
      return;
    }
    const unsent: Frame[] = [];
    let end = 0;
    let whole = 0;
    new FrameDecoder(SHORT_BODY_BYTES, true).push(bytes, (frame) => {
      end += frameLength(frame);
      if (end <= taken) whole = end;
      else if (!isFence(frame)) unsent.push(frame);
    });
    this.bytesSent += whole;
    this.#isLong = true;
    // No frame can follow a part of a frame. Then all frames go the long way from now on.
    this.#longFrames = whole === taken ? FULL_FRAMES : Number.POSITIVE_INFINITY;
    this.sendFence();
    for (const frame of unsent) this.#end.sendLong(frame);
  };

  /**
   * Sends a fence the long way. Frames after it on the long way come after those that have left by the short
   * one. If the fence is also sent the short way, the reverse holds as well.
   */
  private sendFence(): Frame {
    this.#sentFence += 1;
    const body = Buffer.alloc(8);
    body.writeUInt32BE(this.#sentFence >>> 0, 0);
    body.writeUInt32BE(this.bytesSent >>> 0, 4);
    const [srcId, dstId, handle] = [this.#ownId, this.peerId, Handle.CALL_FUNCTION];
    const fence = { encoding: Encoding.RAW, dstId, srcId, authId: srcId, handle, replyTo: 0, body: [body] };
    this.#end.sendLong(fence);
    return fence;
  }

  /**
   * Takes bytes of the socket, whose memory may be used again. Returns false if a fence must arrive before
   * more is read.
   */
  receive(chunk: Uint8Array): boolean {
    this.bytesReceived += chunk.length;
    try {
      this.#decoder.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length), this.take);
    } catch (error) {
      this.#end.onBroken(messageOf(error));
    }
    return this.#held.length === 0;
  }

  private readonly take = (frame: Frame): void => {
    const isHeld = this.#held.length > 0;
    if (isHeld || (isFence(frame) && difference(numberAt(frame, 0), this.#seenFence) > 0))
      this.#held.push(frame);
    else if (!isFence(frame)) this.#end.deliver(frame);
  };

  /** Takes a fence from the long way, and first all bytes that were sent the short way before it. */
  takeFence(fence: Frame): void {
    this.#seenFence = numberAt(fence, 0);
    for (const each of this.#held.splice(0)) this.take(each);
    const unread = difference(numberAt(fence, 4), this.bytesReceived);
    // These bytes are there: the operating system had them when the fence was sent.
    if (unread > this.readNow(unread))
      this.#end.onBroken("it claims to have sent bytes that it has not sent");
    this.resume();
  }

  /**
   * Reads the available bytes, up to `bytes`, or until a fence must come first. Returns how many it has read.
   */
  readNow(bytes: number = MAX_UNREAD_BYTES): number {
    const start = this.bytesReceived;
    const isWanted = (): boolean =>
      this.#held.length === 0 && this.bytesReceived - start < Math.min(bytes, MAX_UNREAD_BYTES);
    try {
      // The stream delivers its buffered bytes by an event.
      while (isWanted() && this.socket?.read()) {}
      while (isWanted()) {
        const memory = Buffer.allocUnsafe(BATCH_BYTES);
        const length = readSync(descriptorOf(this.socket), memory, 0, BATCH_BYTES, null);
        if (length === 0) break;
        this.receive(memory.subarray(0, length));
      }
    } catch {
      // EAGAIN: there is no more.
    }
    return this.bytesReceived - start;
  }

  /** Continues reading, unless a fence must come first. */
  resume(): void {
    if (this.#held.length === 0) this.socket?.resume();
  }

  close(): void {
    this.socket?.destroy();
    this.socket = undefined;
  }
}

/**
 * Whether a frame is a fence. A call's body is a value, a fence's body is bytes. So a fence takes the same
 * way as calls, and waits where they wait.
 */
export function isFence({ handle, encoding, srcId, authId }: Frame, fromId: number = srcId): boolean {
  const isFrom = srcId === fromId && authId === fromId;
  return handle === Handle.CALL_FUNCTION && encoding === Encoding.RAW && isFrom;
}

function numberAt({ body: [bytes] }: Frame, at: number): number {
  return readUint32(bytes as Uint8Array, at);
}

/** The difference of numbers that wrap at 2^32. */
function difference(one: number, other: number): number {
  return (one - other) | 0;
}

function descriptorOf(socket: Socket | undefined): number {
  const { _handle: handle } = (socket ?? {}) as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
