/** What a message takes besides the bytes that it carries. */
const OVERHEAD_BYTES = 64;

/** Returns the bytes in pieces that each fit into a message of at most `maxMessageBytes`. They are not copied. */
export function* piecesOf(bytes: Uint8Array, maxMessageBytes: number): Iterable<Uint8Array> {
  const length = maxMessageBytes - OVERHEAD_BYTES;
  if (bytes.length <= length) yield bytes;
  else for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
