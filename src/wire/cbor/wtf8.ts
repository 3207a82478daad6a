/**
 * WTF-8: UTF-8 that can also hold half a surrogate pair, so that every JavaScript string survives. This is
 * written in JavaScript, because Node's own converters replace such halves. It is slow, and only used for
 * strings that have one.
 */

/** Matches half a pair. Whole pairs do not match in Unicode mode. */
export const LONE_SURROGATE: RegExp = /\p{Cs}/u;

export function encodeWtf8(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(text.length * 3);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const point = text.codePointAt(i)!;
    let more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    if (more === 3) i++;
    // The first byte begins with as many ones as the sequence has bytes.
    bytes[length++] = more === 0 ? point : ((0xf80 >> more) & 0xff) | (point >> (6 * more));
    while (more-- > 0) bytes[length++] = 0x80 | ((point >> (6 * more)) & 63);
  }
  return bytes.subarray(0, length) as Buffer;
}

/**
 * Returns the text. Undefined unless the bytes are exactly what {@link encodeWtf8} returns for a string with a
 * lone surrogate.
 */
export function decodeWtf8(bytes: Buffer): string | undefined {
  // One more, because a sequence cut short at the end could make two units from one byte.
  const units = Buffer.allocUnsafe(bytes.length * 2 + 2);
  let length = 0;
  for (let i = 0; i < bytes.length; ) {
    let point = bytes[i++]!;
    let more = point < 0xc0 ? 0 : point < 0xe0 ? 1 : point < 0xf0 ? 2 : 3;
    if (more > 0) point &= 0x3f >> more;
    while (more-- > 0) point = (point << 6) | (bytes[i++]! & 63);
    if (point > 0xffff) {
      length = units.writeUInt16LE(0xd7c0 + (point >> 10), length);
      point = 0xdc00 | (point & 0x3ff);
    }
    length = units.writeUInt16LE(point, length);
  }
  const text = units.toString("utf16le", 0, length);
  // The loop above accepts anything. The comparison validates it.
  return LONE_SURROGATE.test(text) && encodeWtf8(text).equals(bytes) ? text : undefined;
}
