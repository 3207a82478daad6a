import { printAsText } from "./inspectable.ts";

/**
 * Bytes whose printed form is only their size, so that a log line or an error never shows a megabyte.
 * Keeps its type over the wire; everywhere else it is a Uint8Array.
 */
export class Blob extends Uint8Array {
  /** Text is encoded as UTF-8. An ArrayBuffer is shared, anything else is copied. */
  constructor(
    source: string | number | ArrayLike<number> | ArrayBufferLike,
    byteOffset?: number,
    length?: number,
  ) {
    super((typeof source === "string" ? Buffer.from(source) : source) as ArrayBuffer, byteOffset, length);
  }

  /** The size alone, `Blob(12 bytes)`. */
  override toString(): string {
    return `Blob(${this.length} bytes)`;
  }
}

// Outside the class, because a static block is large once it is lowered to Node 12.
printAsText(Blob);
