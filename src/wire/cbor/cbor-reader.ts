/** The byte side of the decoder: CBOR heads, numbers and text, each checked against the rest of the input. */
import { ProtocolError } from "../../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";

/** Shorter ASCII strings are decoded in JavaScript, because crossing into C++ takes longer. */
const SHORT_TEXT = 16;

export class CborReader {
  protected readonly bytes: Buffer;
  protected at = 0;
  private readonly limits: Limits;
  private depth = 0;
  private items = 0;

  constructor(bytes: Uint8Array, limits: Limits = DEFAULT_LIMITS) {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
    this.limits = limits;
    if (bytes.length > limits.maxMessageBytes) this.failAt("message over the limit");
  }

  end(): void {
    if (this.at !== this.bytes.length) this.failAt("bytes after the value");
  }

  protected failAt(reason: string): never {
    throw new ProtocolError(`Malformed value at byte ${this.at}: ${reason}`);
  }

  /** Returns the next item's first byte without consuming it. */
  protected readInitial(): number {
    const { bytes, at } = this;
    return at < bytes.length ? bytes[at]! : this.failAt("unexpected end");
  }

  /** Reads a head, which must be of this major type. Returns its argument. */
  protected readHead(major: number): number {
    const initial = this.readInitial();
    return initial >> 5 === major ? this.readArgument(initial) : this.failAt("wrong content of a tag");
  }

  /** Consumes a head that begins with `initial`. Above 2^53 the result is only approximate. */
  protected readArgument(initial: number): number {
    const info = initial & 31;
    if (info > 27) this.failAt("indefinite length or reserved head");
    const at = this.skipItem(1);
    if (info < 24) return info;
    const size = 1 << (info - 24);
    this.skipItem(size);
    return size < 8 ? this.bytes.readUIntBE(at + 1, size) : Number(this.bytes.readBigUInt64BE(at + 1));
  }

  /** Reads major type 7: false, true, null, undefined and floats. */
  protected readSimple(initial: number): unknown {
    const { bytes } = this;
    const at = this.skipItem(1) + 1;
    switch (initial) {
      case 0xf4:
        return false;
      case 0xf5:
        return true;
      case 0xf6:
        return null;
      case 0xf7:
        return undefined;
      case 0xf9:
        this.skipItem(2);
        return halfFloat(bytes.readUInt16BE(at));
      case 0xfa:
        this.skipItem(4);
        return bytes.readFloatBE(at);
      case 0xfb:
        this.skipItem(8);
        return bytes.readDoubleBE(at);
      default:
        return this.failAt("not a type that travels");
    }
  }

  protected readText(size: number): string {
    const { bytes } = this;
    const at = this.skipItem(size);
    const end = this.at;
    if (size < SHORT_TEXT) {
      let text = "";
      let i = at;
      while (i < end && bytes[i]! < 0x80) text += String.fromCharCode(bytes[i++]!);
      if (i === end) return text;
    }
    const text = bytes.toString("utf8", at, end);
    // Broken UTF-8 decodes to replacement characters, and so do real ones. Only encoding the text again
    // distinguishes them.
    return text.includes("\ufffd") && !Buffer.from(text).equals(bytes.subarray(at, end))
      ? this.failAt("invalid UTF-8")
      : text;
  }

  /**
   * Returns bytes that the value may keep. They are a view if they are at least half of the input, so that a
   * large value is not copied. Otherwise they have memory of their own, so that a small value does not keep a
   * large message alive. A Buffer may share that memory with other small Buffers, as Node's own Buffers do.
   */
  protected takeBytes(size: number, mayShare?: boolean): Buffer {
    const at = this.skipItem(size);
    const view = this.bytes.subarray(at, this.at) as Buffer;
    if (size * 2 >= this.bytes.length) return view;
    return Buffer.from(mayShare ? view : (new Uint8Array(view).buffer as never));
  }

  /**
   * Called at the beginning of a container. Checked before anything is allocated: each item takes at least
   * one byte.
   */
  protected enterContainer(items: number): void {
    if (items > this.bytes.length - this.at) this.failAt("unexpected end");
    this.chargeItems(items);
    if (++this.depth > this.limits.maxDepth) this.failAt("nested too deep");
  }

  protected leaveContainer(): void {
    this.depth--;
  }

  protected chargeItems(items: number): void {
    this.items += items;
    if (this.items > this.limits.maxItems) this.failAt("too many items");
  }

  /** Consumes `size` bytes and returns where they begin. */
  private skipItem(size: number): number {
    const { at } = this;
    if (size > this.bytes.length - at) this.failAt("unexpected end");
    this.at += size;
    return at;
  }
}

function halfFloat(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent < 31
        ? (1024 + fraction) * 2 ** (exponent - 25)
        : fraction === 0
          ? Infinity
          : NaN;
  return bits & 0x8000 ? -magnitude : magnitude;
}
