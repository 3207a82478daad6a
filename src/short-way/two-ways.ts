import { readSync } from "node:fs";
import type { Socket } from "node:net";
import { writeNow } from "../links/write-now.ts";
import { bodyLength, Encoding, type Frame, frameLength, readUint32, writeFrame } from "../wire/frame.ts";
import { FrameDecoder } from "../wire/frame-decoder.ts";
import { Handle } from "../wire/handles.ts";
import { messageOf } from "../wire/values/thrown.ts";

/** Larger bodies go the long way, where bulk takes turns. */
const SHORT_BODY_BYTES = 16 * 1024;
/** Linux takes so much as a whole or not at all. */
const BATCH_BYTES = 32 * 1024;
/** How many frames go the long way when the other end does not read what it is sent by the short one. */
const FULL_FRAMES = 64;
/** A socket holds less. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** Frames for one short way that have not left; the same memory for all of this process. */
const batch: Buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
let batchEnd = 0;
let batchOwner: TwoWays | undefined;

/** What is at an end of two ways. */
export interface TwoWaysEnd {
  /** Sends a frame as if there were no short way. */
  sendLong(frame: Frame): void;
  /** Takes a frame that has come the short way, in its turn. */
  deliver(frame: Frame): void;
  /** The other end does not keep to the rules. */
  onBroken(reason: string): void;
}

/**
 * Two ways with one order of frames: the long way by links and broker threads, the short one by a socket. Nothing waits for the socket: what
 * the operating system does not take at once goes the long way. docs/protocol.md#short-way
 */
export class TwoWays {
  readonly peerId: number;
  /** While there is a short way. */
  socket: Socket | undefined;
  bytesSent = 0;
  bytesReceived = 0;
  readonly #ownId: number;
  readonly #end: TwoWaysEnd;
  readonly #decoder: FrameDecoder = new FrameDecoder(SHORT_BODY_BYTES, true);
  /** The last frame went the long way. */
  #isLong = true;
  /** So many more go the long way. */
  #longFrames = 0;
  /** Numbers of fences: of the last one sent, and of the last one that came the long way. */
  #sentFence = 0;
  #seenFence = 0;
  /** What came the short way behind a fence that has not come the long way. */
  #held: Frame[] = [];

  constructor(ownId: number, peerId: number, end: TwoWaysEnd) {
    this.#ownId = ownId;
    this.peerId = peerId;
    this.#end = end;
  }

  /** Makes a socket the short way, and tells the other end so. */
  open(socket: Socket): void {
    this.socket = socket;
    this.append(this.sendFence());
    this.flush();
  }

  /** False if a frame has to be sent the long way. `mayBeShort` as far as the caller knows; `isBehind` others that went the long way. */
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

  /** Lets go what {@link sendShort} has taken; at the end of the turn by itself. */
  readonly flush = (): void => {
    if (batchOwner !== this) return;
    const bytes = batch.subarray(0, batchEnd);
    batchOwner = undefined;
    batchEnd = 0;
    // Who reads finds out that the socket is lost.
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
    // Nothing can follow a part of a frame: then it is the long way for good.
    this.#longFrames = whole === taken ? FULL_FRAMES : Number.POSITIVE_INFINITY;
    this.sendFence();
    for (const frame of unsent) this.#end.sendLong(frame);
  };

  /** What is behind it on the long way comes behind what has left by the short one; and the other way round, if it is sent there too. */
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

  /** Takes bytes of the socket, whose memory may be used again. False if no more may be read before a fence has come. */
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

  /** Takes a fence that has come the long way, and all that was sent the short way before it. */
  takeFence(fence: Frame): void {
    this.#seenFence = numberAt(fence, 0);
    for (const each of this.#held.splice(0)) this.take(each);
    const unread = difference(numberAt(fence, 4), this.bytesReceived);
    // It is there: the operating system had it when the fence was sent.
    if (unread > this.readNow(unread)) this.#end.onBroken("it has not sent what it says that it has sent");
    this.resume();
  }

  /** Reads what is there, until that is so many bytes or a fence has to come first; answers how many bytes it was. */
  readNow(bytes: number = MAX_UNREAD_BYTES): number {
    const start = this.bytesReceived;
    const isWanted = (): boolean =>
      this.#held.length === 0 && this.bytesReceived - start < Math.min(bytes, MAX_UNREAD_BYTES);
    try {
      // What the stream has it gives by an event.
      while (isWanted() && this.socket?.read()) {}
      while (isWanted()) {
        const memory = Buffer.allocUnsafe(BATCH_BYTES);
        const length = readSync(descriptorOf(this.socket), memory, 0, BATCH_BYTES, null);
        if (length === 0) break;
        this.receive(memory.subarray(0, length));
      }
    } catch {
      // EAGAIN: that is all.
    }
    return this.bytesReceived - start;
  }

  /** Reads on, unless a fence has to come first. */
  resume(): void {
    if (this.#held.length === 0) this.socket?.resume();
  }

  close(): void {
    this.socket?.destroy();
    this.socket = undefined;
  }
}

/** A call has a value for a body, a fence has bytes: so it goes where a call goes, and waits where a call waits. */
export function isFence({ handle, encoding, srcId, authId }: Frame, fromId: number = srcId): boolean {
  const isFrom = srcId === fromId && authId === fromId;
  return handle === Handle.CALL_FUNCTION && encoding === Encoding.RAW && isFrom;
}

function numberAt({ body: [bytes] }: Frame, at: number): number {
  return readUint32(bytes as Uint8Array, at);
}

/** Of numbers that begin again at 2^32. */
function difference(one: number, other: number): number {
  return (one - other) | 0;
}

function descriptorOf(socket: Socket | undefined): number {
  const { _handle: handle } = (socket ?? {}) as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
