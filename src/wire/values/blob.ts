import { printAsText } from "./inspectable.ts";

/**
 * Bytes whose printed form is only their size, so that a log line or an error never shows a megabyte.
 * Keeps its type over the wire; everywhere else it is a Uint8Array.
 */
export class Blob extends Uint8Array {
  /** Text is encoded as UTF-8. An ArrayBuffer is shared, anything else is copied. Throws a TypeError for what has no bytes. */
  constructor(
    source: string | number | ArrayLike<number> | ArrayBufferLike,
    byteOffset?: number,
    length?: number,
  ) {
    super(bytesOf(source), byteOffset, length);
  }

  /** The size alone, `Blob(12 bytes)`. */
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
