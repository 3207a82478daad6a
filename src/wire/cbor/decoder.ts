/**
 * CBOR → values, as docs/encoding.md says. The input is hostile: only the listed types are accepted, and each
 * is checked.
 */
import { ProtocolError } from "../../errors.ts";
import { Blob } from "../values/blob.ts";
import { define, errorOfRecord } from "../values/error-value.ts";
import { MAX_CONTEXT_NAME, type Reviver } from "../values/references.ts";
import { Secret } from "../values/secret.ts";
import { attempt } from "../values/thrown.ts";
import { typedArrayBy, typedArrayFrom } from "../values/typed-array.ts";
import { isCrowded } from "./key-crowd.ts";
import { DEFAULT_LIMITS, HEAVY_ITEMS, type Limits, MAX_URL } from "./limits.ts";
import { Tag } from "./tags.ts";
import { decodeWtf8 } from "./wtf8.ts";

export interface DecodeOptions {
  /** Without a reviver, a message with a Context or a Sender in it is refused. */
  readonly reviver?: Reviver;
  readonly limits?: Limits;
}

const MAX_DATE_SECONDS = 8.64e12;
const MAX_ID = 0xffffffff;
const SHORT_LIST = 32;
/** Shorter ASCII strings are decoded in JavaScript, because crossing into C++ takes longer. */
const SHORT_TEXT = 16;
/** Characters on which a terminal acts. No context's name may hold them: text/harmless.ts. */
const ACTIVE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;
/**
 * V8 keeps the values of keys like "1000" in an array with room for all numbers up to the key: 12 KB for a
 * key of four bytes. V8 stops doing so once an object has had a key as far away as `FAR_INDEX`. So an object
 * gets this key, and loses it again, before a key that is farther than `MAX_GAP` from the number of its keys.
 */
const MAX_GAP = 50;
const FAR_INDEX = "4294967294";
const hasOwn = Object.prototype.hasOwnProperty;

/**
 * Decodes `bytes`, which must be exactly one item. Throws ProtocolError, with the offset, for anything else.
 * A byte string that is at least half of `bytes` becomes a view of them, a smaller one a copy. So a large
 * value is not copied, and a small one does not keep a large message alive.
 */
export function decodeValue(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  const decoder = new Decoder(bytes, options);
  const value = decoder.item();
  decoder.end();
  return value;
}

/**
 * Decodes one item. The second half of the class reads heads, numbers, text and bytes, and checks each length
 * against the rest of the input.
 */
class Decoder {
  private readonly bytes: Buffer;
  private readonly reviver: Reviver | undefined;
  private readonly limits: Limits;
  private at = 0;
  private depth = 0;
  private items = 0;

  constructor(bytes: Uint8Array, { reviver, limits = DEFAULT_LIMITS }: DecodeOptions) {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
    this.reviver = reviver;
    this.limits = limits;
    if (bytes.length > limits.maxMessageBytes) this.failAt("message over the limit");
  }

  item(): unknown {
    const start = this.at;
    const initial = this.readInitial();
    if (initial >= 0xe0) return this.readSimple(initial);
    const argument = this.readArgument(initial);
    switch (initial >> 5) {
      case 0:
        return argument > Number.MAX_SAFE_INTEGER ? this.bytes.readBigUInt64BE(start + 1) : argument;
      case 1:
        return argument < Number.MAX_SAFE_INTEGER
          ? -1 - argument
          : -1n - this.bytes.readBigUInt64BE(start + 1);
      case 2:
        this.chargeItems(HEAVY_ITEMS);
        return this.takeBytes(argument, true);
      case 3:
        return this.readText(argument);
      case 4:
        return this.readList(argument);
      case 5:
        return this.readPlain(argument);
      default:
        this.chargeItems(HEAVY_ITEMS);
        return this.readTagged(argument);
    }
  }

  private readList(length: number): unknown[] {
    this.enterContainer(length);
    // A short list is made in its final length: an empty one would grow to room for 17.
    const list: unknown[] = length < SHORT_LIST ? new Array(length) : [];
    for (let i = 0; i < length; i++) list[i] = this.item();
    this.leaveContainer();
    return list;
  }

  private readPlain(size: number): Record<string, unknown> {
    this.enterContainer(size * 2);
    const object: Record<string, unknown> = {};
    let isSparse = false;
    for (let i = 0; i < size; i++) {
      const key = this.item();
      if (typeof key !== "string") this.failAt("key of an object is not text");
      if (key === "__proto__" || hasOwn.call(object, key)) this.failAt("__proto__ or duplicate key");
      if (!isSparse && key < ":" && Number(key) > i + MAX_GAP) {
        isSparse = true;
        object[FAR_INDEX] = 0;
        delete object[FAR_INDEX];
      }
      const value = this.item();
      try {
        object[key] = value;
      } catch {
        // User code has frozen an inherited property of that name (`toString`).
        define(object, key, value, true);
      }
    }
    this.leaveContainer();
    return object;
  }

  private readMap(size: number): Map<unknown, unknown> {
    const items = this.readKeys(size * 2, 2);
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
    return map.size === size ? map : this.failAt("duplicate key");
  }

  /** Reads the items of a collection. Every `stride`-th item is a key. */
  private readKeys(length: number, stride: number): unknown[] {
    const items = this.readList(length);
    return isCrowded(items, stride) ? this.failAt("keys that V8 hashes alike") : items;
  }

  private readTagged(tag: number): unknown {
    switch (tag) {
      case Tag.date:
        return this.readDate();
      case Tag.url:
        return this.readUrl();
      case Tag.bigint:
        return this.readBigint();
      case Tag.negativeBigint:
        return -1n - this.readBigint();
      case Tag.set: {
        const list = this.readKeys(this.readHead(4), 1);
        const set = new Set(list);
        return set.size === list.length ? set : this.failAt("duplicate member");
      }
      case Tag.map:
        return this.readMap(this.readHead(5));
      case Tag.loneSurrogates:
        return decodeWtf8(this.tagBytes()) || this.failAt("invalid WTF-8");
      case Tag.error:
      case Tag.callError:
        return (
          errorOfRecord(this.readList(this.readHead(4)), tag === Tag.callError) ||
          this.failAt("malformed error")
        );
      case Tag.blob: {
        const { buffer, byteOffset, length } = this.tagBytes();
        return new Blob(buffer, byteOffset, length);
      }
      case Tag.secret:
        return new Secret(this.readText(this.readHead(3)));
      case Tag.context:
      case Tag.sender:
        return this.readReference(tag === Tag.context);
      default: {
        const row = typedArrayBy(tag) || this.failAt("unknown tag");
        return typedArrayFrom(row[1], this.tagBytes()) || this.failAt("fraction of an element");
      }
    }
  }

  private tagBytes(): Buffer {
    return this.takeBytes(this.readHead(2));
  }

  private readDate(): Date {
    const initial = this.readInitial();
    // Checked first: item() would follow a tag, and nested tags could be endless.
    const seconds = initial < 0x40 || initial > 0xf8 ? this.item() : undefined;
    if (typeof seconds !== "number" || Math.abs(seconds) > MAX_DATE_SECONDS) this.failAt("not a date");
    // The fraction is handled separately, because multiplying the whole number would be a millisecond off for
    // distant dates.
    const whole = Math.floor(seconds);
    return new Date(whole * 1000 + Math.round((seconds - whole) * 1000));
  }

  private readUrl(): URL {
    const text = this.readText(this.readHead(3));
    return (text.length <= MAX_URL && attempt(() => new URL(text))) || this.failAt("bad URL");
  }

  private readBigint(): bigint {
    const hex = this.tagBytes().toString("hex");
    try {
      return BigInt(`0x0${hex}`);
    } catch {
      return this.failAt("bigint too large for this Node");
    }
  }

  private readReference(isContext: boolean): unknown {
    const { reviver } = this;
    const length = this.readHead(4);
    const contextId = this.readHead(0);
    const name = isContext ? this.readText(this.readHead(3)) : "";
    const handle = isContext ? 1 : this.readHead(0);
    if (
      length !== 2 ||
      contextId > MAX_ID ||
      handle > MAX_ID ||
      handle === 0 ||
      name.length >= MAX_CONTEXT_NAME ||
      ACTIVE.test(name)
    ) {
      this.failAt("malformed reference");
    }
    if (!reviver) this.failAt("a context or sender is not expected here");
    return isContext ? reviver.context(contextId, name) : reviver.sender(contextId, handle);
  }

  end(): void {
    if (this.at !== this.bytes.length) this.failAt("bytes after the value");
  }

  private failAt(reason: string): never {
    throw new ProtocolError(`Malformed value at byte ${this.at}: ${reason}`);
  }

  /** Returns the next item's first byte without consuming it. */
  private readInitial(): number {
    const { bytes, at } = this;
    return at < bytes.length ? bytes[at]! : this.failAt("unexpected end");
  }

  /** Reads a head, which must be of this major type. Returns its argument. */
  private readHead(major: number): number {
    const initial = this.readInitial();
    return initial >> 5 === major ? this.readArgument(initial) : this.failAt("wrong content of a tag");
  }

  /** Consumes a head that begins with `initial`. Above 2^53 the result is only approximate. */
  private readArgument(initial: number): number {
    const info = initial & 31;
    if (info > 27) this.failAt("indefinite length or reserved head");
    const at = this.skipItem(1);
    if (info < 24) return info;
    const size = 1 << (info - 24);
    this.skipItem(size);
    return size < 8 ? this.bytes.readUIntBE(at + 1, size) : Number(this.bytes.readBigUInt64BE(at + 1));
  }

  /** Reads major type 7: false, true, null, undefined and floats. */
  private readSimple(initial: number): unknown {
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

  private readText(size: number): string {
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
    // Broken UTF-8 decodes to replacement characters, but valid text may contain them too. Only encoding the
    // text again shows the difference.
    return text.includes("\ufffd") && !Buffer.from(text).equals(bytes.subarray(at, end))
      ? this.failAt("invalid UTF-8")
      : text;
  }

  /**
   * Returns bytes that the value may keep. They are a view if they are at least half of the input, so that a
   * large value is not copied. Otherwise they have memory of their own, so that a small value does not keep a
   * large message alive. A Buffer may share that memory with other small Buffers, as Node's own Buffers do.
   */
  private takeBytes(size: number, mayShare?: boolean): Buffer {
    const at = this.skipItem(size);
    const view = this.bytes.subarray(at, this.at) as Buffer;
    if (size * 2 >= this.bytes.length) return view;
    return Buffer.from(mayShare ? view : (new Uint8Array(view).buffer as never));
  }

  /**
   * Begins a container. Each item takes at least one byte, so a false number of items is noticed before anything
   * is allocated.
   */
  private enterContainer(items: number): void {
    if (items > this.bytes.length - this.at) this.failAt("unexpected end");
    this.chargeItems(items);
    if (++this.depth > this.limits.maxDepth) this.failAt("nested too deep");
  }

  private leaveContainer(): void {
    this.depth--;
  }

  private chargeItems(items: number): void {
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
