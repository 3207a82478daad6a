/**
 * CBOR → values, as docs/encoding.md says. The input is hostile: only the listed types are accepted, and each
 * is checked.
 */
import { Blob } from "../values/blob.ts";
import { define, errorOfRecord } from "../values/error-value.ts";
import { MAX_CONTEXT_NAME, type Reviver } from "../values/references.ts";
import { Secret } from "../values/secret.ts";
import { attempt } from "../values/thrown.ts";
import { typedArrayBy, typedArrayFrom } from "../values/typed-array.ts";
import { CborReader } from "./cbor-reader.ts";
import { isCrowded } from "./key-crowd.ts";
import { HEAVY_ITEMS, type Limits, MAX_URL } from "./limits.ts";
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
/** Characters on which a terminal acts. No context's name may hold them: text/harmless.ts. */
const ACTIVE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;
/**
 * V8 keeps the values of keys like "1000" in an array with room for all numbers up to the key: 12 KB for a
 * key of four bytes. It stops doing so once an object has had a key beyond a certain distance.
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

class Decoder extends CborReader {
  private readonly reviver: Reviver | undefined;

  constructor(bytes: Uint8Array, options: DecodeOptions) {
    super(bytes, options.limits);
    this.reviver = options.reviver;
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
}
