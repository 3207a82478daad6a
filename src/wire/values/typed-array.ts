/** Typed arrays ⇄ bytes: the little-endian tags of RFC 8746, on hosts of either byte order. */

export type TypedArrayType = {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): ArrayBufferView;
};

const TYPES: readonly (readonly [tag: number, TypedArrayType])[] = [
  [64, Uint8Array],
  [68, Uint8ClampedArray],
  [69, Uint16Array],
  [70, Uint32Array],
  [71, BigUint64Array],
  [72, Int8Array],
  [77, Int16Array],
  [78, Int32Array],
  [79, BigInt64Array],
  [85, Float32Array],
  [86, Float64Array],
];

const isBigEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;

/**
 * Finds the row of a tag, or of the name of a builtin type, `"Uint8Array"`. Undefined for types that do not
 * travel.
 */
export function typedArrayBy(key: number | string): readonly [tag: number, TypedArrayType] | undefined {
  return TYPES.find(([tag, type]) => tag === key || type.name === key);
}

/** Returns a view's bytes in wire order. They share the view's memory if possible. */
export function bytesOf(view: ArrayBufferView): Buffer {
  const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
  return inOrder(bytes, (view as Uint8Array).BYTES_PER_ELEMENT);
}

/** Makes a typed array over `bytes`, which it takes over. Undefined if they end within an element. */
export function typedArrayFrom(type: TypedArrayType, bytes: Buffer): ArrayBufferView | undefined {
  const size = type.BYTES_PER_ELEMENT;
  if (bytes.length % size !== 0) return undefined;
  let { buffer, byteOffset } = inOrder(bytes, size);
  if (byteOffset % size !== 0) {
    buffer = new Uint8Array(bytes).buffer;
    byteOffset = 0;
  }
  return new type(buffer, byteOffset, bytes.length / size);
}

/** Converts between the host's byte order and the wire's. Copies if they differ. */
function inOrder(bytes: Buffer, size: number): Buffer {
  if (!isBigEndian || size === 1) return bytes;
  const copy = Buffer.from(new Uint8Array(bytes).buffer);
  return size === 2 ? copy.swap16() : size === 4 ? copy.swap32() : copy.swap64();
}
