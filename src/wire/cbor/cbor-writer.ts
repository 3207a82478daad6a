/**
 * The byte side of the encoder. It writes CBOR heads, numbers, text and byte strings with as few chunks and
 * copies as possible.
 */

import { Refusal } from "../values/refusal.ts";
import { DEFAULT_LIMITS, HEAVY_ITEMS, type Limits } from "./limits.ts";
import { Tag } from "./tags.ts";
import { encodeWtf8, LONE_SURROGATE } from "./wtf8.ts";

/** The size of the memory that collects the bytes of a message. */
const SCRATCH_BYTES = 64 * 1024;
/** A larger text or byte string becomes a chunk of its own. */
const CHUNK_BYTES = 8 * 1024;
/** Shorter ASCII strings are encoded in JavaScript, because crossing into C++ takes longer. */
const SHORT_TEXT = 24;

export class CborWriter {
  protected limits: Limits = DEFAULT_LIMITS;
  protected chunks: Buffer[] = [];
  protected readonly scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** The bytes used in `scratch`, and those in `chunks`. */
  protected used = 0;
  protected flushed = 0;
  private items = 0;

  /** Returns the bytes written since the last call. The writer can then be used again. */
  protected finishItem(): Buffer[] {
    this.flushScratch();
    const { chunks } = this;
    this.chunks = [];
    this.flushed = this.items = 0;
    return chunks;
  }

  /** Writes a head. `major` is the major type in the upper three bits. */
  protected writeHead(major: number, argument: number): void {
    this.ensureRoom(9);
    const { scratch, used } = this;
    if (argument < 24) {
      scratch[used] = major | argument;
      this.used++;
    } else {
      const log = argument < 0x100 ? 0 : argument < 0x10000 ? 1 : argument < 0x100000000 ? 2 : 3;
      scratch[used] = major | (24 + log);
      if (log < 3) this.used = scratch.writeUIntBE(argument, used + 1, 1 << log);
      else this.used = scratch.writeBigUInt64BE(BigInt(argument), used + 1);
    }
  }

  protected writeTag(tag: number): void {
    this.chargeItems(HEAVY_ITEMS);
    this.writeHead(0xc0, tag);
  }

  protected writeNumber(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value < 0) this.writeHead(0x20, -1 - value);
      else this.writeHead(0, value);
    } else {
      this.writeHead(0xfb, 0);
      this.used = this.scratch.writeDoubleBE(value, this.used);
    }
  }

  protected writeBigint(value: bigint): void {
    const hex = (value < 0 ? -1n - value : value).toString(16);
    const bytes = Buffer.from(hex.length % 2 === 0 ? hex : hex === "0" ? "" : `0${hex}`, "hex");
    this.writeBytes(bytes, value < 0 ? Tag.negativeBigint : Tag.bigint);
  }

  protected writeText(text: string): void {
    const length = text.length;
    if (length < SHORT_TEXT) {
      this.ensureRoom(SHORT_TEXT);
      const { scratch } = this;
      let at = this.used;
      scratch[at++] = 0x60 | length;
      let seen = 0;
      for (let i = 0; i < length; i++) {
        const unit = text.charCodeAt(i);
        scratch[at++] = unit;
        seen |= unit;
      }
      // If the text is not ASCII, nothing has been written yet: `used` has not moved.
      if (seen < 0x80) {
        this.used = at;
        return;
      }
    }
    const size = Buffer.byteLength(text);
    if (size !== length && LONE_SURROGATE.test(text)) this.writeBytes(encodeWtf8(text), Tag.loneSurrogates);
    else {
      this.writeHead(0x60, size);
      this.writeRaw(text, size);
    }
  }

  protected writeBytes(bytes: Buffer, tag?: number): void {
    if (tag === undefined) this.chargeItems(HEAVY_ITEMS);
    else this.writeTag(tag);
    this.writeHead(0x40, bytes.length);
    this.writeRaw(bytes, bytes.length);
  }

  protected chargeItems(items: number): void {
    const max = this.limits.maxItems;
    if (this.items + items > max)
      throw new Refusal(`the message would hold more than ${max} items`, RangeError);
    this.items += items;
  }

  /** Copies the content once: into `scratch`, or into a chunk of its own. */
  protected writeRaw(content: string | Buffer, size: number): void {
    if (size > CHUNK_BYTES) {
      this.flushScratch();
      this.addChunk(content, size);
      return;
    }
    this.ensureRoom(size);
    copy(content, size, this.scratch, this.used);
    this.used += size;
  }

  /** Throws if the message would be larger than `max` bytes with `more` bytes than have been flushed. */
  protected checkSize(more: number, max: number): void {
    if (this.flushed + more > max)
      throw new Refusal(`the message would be larger than ${max} bytes`, RangeError);
  }

  private ensureRoom(size: number): void {
    if (this.used + size > SCRATCH_BYTES) this.flushScratch();
  }

  private flushScratch(): void {
    if (this.used > 0) this.addChunk(this.scratch, this.used);
    this.used = 0;
  }

  /** Adds a copy of the content. Checks the limit first, because there may be no memory for a copy that exceeds it. */
  private addChunk(content: string | Buffer, size: number): void {
    this.checkSize(size, this.limits.maxMessageBytes);
    this.flushed += size;
    const chunk = Buffer.allocUnsafe(size);
    copy(content, size, chunk, 0);
    // Most messages have one chunk, and an empty list would grow to room for 17.
    if (this.flushed === size) this.chunks = [chunk];
    else this.chunks.push(chunk);
  }
}

function copy(content: string | Buffer, size: number, to: Buffer, at: number): void {
  if (typeof content === "string") to.write(content, at);
  else content.copy(to, at, 0, size);
}
