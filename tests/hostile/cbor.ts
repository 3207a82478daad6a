/** CBOR items as a peer may write them that does not keep to docs/encoding.md. */

/** The head of an item: its major type, and a count that need not be true. */
export function head(major: number, count: number): Buffer {
  const first = major << 5;
  if (count < 24) return Buffer.of(first | count);
  if (count < 256) return Buffer.of(first | 24, count);
  const long = Buffer.alloc(count < 65536 ? 3 : 5);
  if (long.length === 3) long.writeUInt16BE(count, 1);
  else long.writeUInt32BE(count >>> 0, 1);
  long[0] = first | (long.length === 3 ? 25 : 26);
  return long;
}

export const text = (value: string): Buffer => item(3, Buffer.from(value));
export const bytes = (value: Buffer): Buffer => item(2, value);
export const tag = (number: number, tagged: Buffer): Buffer => Buffer.concat([head(6, number), tagged]);
export const list = (...items: readonly Buffer[]): Buffer => Buffer.concat([head(4, items.length), ...items]);
export const map = (...pairs: readonly (readonly [Buffer, Buffer])[]): Buffer =>
  Buffer.concat([head(5, pairs.length), ...pairs.flat()]);
export const NULL: Buffer = Buffer.of(0xf6);

export function number(value: number): Buffer {
  if (Number.isInteger(value) && !Object.is(value, -0) && Math.abs(value) < 2 ** 32) {
    return value < 0 ? head(1, -1 - value) : head(0, value);
  }
  const float = Buffer.alloc(9, 0xfb);
  float.writeDoubleBE(value, 1);
  return float;
}

/** An Error, docs/encoding.md#error. */
export const error = (message: string): Buffer =>
  tag(0x4d495400, list(text("Error"), text(message), NULL, map(), NULL, list()));

function item(major: number, content: Buffer): Buffer {
  return Buffer.concat([head(major, content.length), content]);
}
