/** The byte side of the encoder: CBOR heads, numbers, text and byte strings into as few chunks and copies as possible. */
import { DEFAULT_LIMITS, HEAVY_ITEMS, type Limits } from "./limits.ts";
import { Tag } from "./tags.ts";
import { encodeWtf8, LONE_SURROGATE } from "./wtf8.ts";

/** What one message collects before it is copied; anything larger than `CHUNK_BYTES` is a chunk of its own. */
const SCRATCH_BYTES = 64 * 1024;
const CHUNK_BYTES = 8 * 1024;
/** Shorter strings are written by hand, if ASCII: crossing into C++ takes longer. */
const SHORT_TEXT = 24;

// Taken while in use: a getter may encode something itself.
let spare: Buffer | undefined;

/** Thrown inside the encoder only. Who catches it adds the path and makes an Error of `type`. */
export class Refusal {
  readonly reason: string;
  readonly type: ErrorConstructor;

  constructor(reason: string, type: ErrorConstructor = TypeError) {
    this.reason = reason;
    this.type = type;
  }
}

export class CborWriter {
  readonly chunks: Buffer[] = [];
  protected readonly limits: Limits;
  protected readonly scratch: Buffer = spare || Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Bytes in use of `scratch`, and in `chunks`. */
  protected used = 0;
  protected flushed = 0;
  private items = 0;

  constructor(limits: Limits = DEFAULT_LIMITS) {
    this.limits = limits;
    spare = undefined;
  }

  flush(): void {
    const { scratch, used } = this;
    if (used > 0) this.chunk(scratch.subarray(0, used) as Buffer, used);
    this.used = 0;
  }

  /** Gives the scratch memory back; the writer must not be used afterwards. */
  release(): void {
    spare = this.scratch;
  }

  /** `major` is the major type in the upper three bits. */
  protected head(major: number, argument: number): void {
    this.room(9);
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

  protected tag(tag: number): void {
    this.charge(HEAVY_ITEMS);
    this.head(0xc0, tag);
  }

  protected number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value < 0) this.head(0x20, -1 - value);
      else this.head(0, value);
    } else {
      this.head(0xfb, 0);
      this.used = this.scratch.writeDoubleBE(value, this.used);
    }
  }

  protected bigint(value: bigint): void {
    const hex = (value < 0 ? -1n - value : value).toString(16);
    const bytes = Buffer.from(hex.length % 2 === 0 ? hex : hex === "0" ? "" : `0${hex}`, "hex");
    this.bytes(bytes, value < 0 ? Tag.negativeBigint : Tag.bigint);
  }

  protected text(text: string): void {
    const length = text.length;
    if (length < SHORT_TEXT) {
      this.room(SHORT_TEXT);
      const { scratch } = this;
      let at = this.used;
      scratch[at++] = 0x60 | length;
      let seen = 0;
      for (let i = 0; i < length; i++) {
        const unit = text.charCodeAt(i);
        scratch[at++] = unit;
        seen |= unit;
      }
      // If it was not ASCII after all, nothing happened: `used` has not moved.
      if (seen < 0x80) {
        this.used = at;
        return;
      }
    }
    const size = Buffer.byteLength(text);
    if (size !== length && LONE_SURROGATE.test(text)) this.bytes(encodeWtf8(text), Tag.loneSurrogates);
    else {
      this.head(0x60, size);
      this.raw(text, size);
    }
  }

  protected bytes(bytes: Buffer, tag?: number): void {
    if (tag === undefined) this.charge(HEAVY_ITEMS);
    else this.tag(tag);
    this.head(0x40, bytes.length);
    this.raw(bytes, bytes.length);
  }

  protected charge(items: number): void {
    const max = this.limits.maxItems;
    if (this.items + items > max)
      throw new Refusal(`the message would hold more than ${max} items`, RangeError);
    this.items += items;
  }

  /** The one copy of the content: into scratch, or a chunk of its own. */
  private raw(content: string | Buffer, size: number): void {
    if (size > CHUNK_BYTES) {
      this.flush();
      this.chunk(content, size);
      return;
    }
    this.room(size);
    const { scratch, used } = this;
    if (typeof content === "string") scratch.write(content, used);
    else content.copy(scratch, used);
    this.used += size;
  }

  private room(size: number): void {
    if (this.used + size > SCRATCH_BYTES) this.flush();
  }

  /** Refuses before it copies: what is over the limit may be more than there is memory for. */
  private chunk(content: string | Buffer, size: number): void {
    const max = this.limits.maxMessageBytes;
    if (this.flushed + size > max)
      throw new Refusal(`the message would be larger than ${max} bytes`, RangeError);
    this.flushed += size;
    this.chunks.push(Buffer.from(content as string));
  }
}
