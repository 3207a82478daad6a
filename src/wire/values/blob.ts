import { printAsText } from "./inspectable.ts";

/**
 * A Uint8Array that prints only as its size, so that a log line or an error never shows a megabyte. It arrives as a
 * Blob in other contexts.
 */
export class Blob extends Uint8Array {
  /**
   * Text is encoded as UTF-8. An ArrayBuffer is shared, anything else is copied. Throws a TypeError for other values.
   */
  constructor(
    source: string | number | ArrayLike<number> | ArrayBufferLike,
    byteOffset?: number,
    length?: number,
  ) {
    super(bytesOf(source), byteOffset, length);
  }

  /** Returns the size: `Blob(12 bytes)`. */
  override toString(): string {
    return `Blob(${this.length} bytes)`;
  }
}

function bytesOf(source: unknown): ArrayBuffer {
  if (typeof source === "string") return Buffer.from(source) as Uint8Array as unknown as ArrayBuffer;
  const { length, byteLength, [Symbol.iterator]: each } = Object(source);
  if (typeof source !== "number" && (length ?? byteLength ?? each) === undefined) {
    throw new TypeError(`Cannot make a Blob: it is made of text, bytes or a length, got ${typeof source}`);
  }
  return source as ArrayBuffer;
}

// Outside the class, because a static block is large once it is lowered to Node 12.
printAsText(Blob);
