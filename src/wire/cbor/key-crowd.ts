/**
 * V8 hashes numbers and bigints of a Set or a Map without a seed. A peer can choose keys that all fall into
 * one bucket, where each key is compared with all earlier ones. So the buckets are counted before the
 * collection is made.
 */

const words = new Int32Array(2);
const doubles = new Float64Array(words.buffer);
const bigints = new BigInt64Array(words.buffer);

/** In tables up to this size, comparing costs no more than the bytes of the keys justify. */
const SMALL = 64;
/** Chance puts at most 15 keys into one bucket, among a million keys of every honest kind that was tried. */
const MAX_CROWD = 48;
/**
 * What a key counts for. A bigint of more than 64 bits counts for 1: V8 hashes only its low 64 bits, so honest
 * ones may agree in these bits, and hostile ones take more bytes.
 */
const WEIGHT = 4;

/** Whether V8 would compare many of the keys with each other. The keys are the items at multiples of `stride`. */
export function isCrowded(items: readonly unknown[], stride: number): boolean {
  let size = SMALL;
  while (size * stride < items.length) size *= 2;
  // V8 doubles a table when it has two keys for each bucket. Checking every second of these sizes is enough.
  for (; size > SMALL; size /= 4) {
    const counts = new Uint8Array(size / 2);
    for (let i = 0; i < size * stride && i < items.length; i += stride) {
      const key = items[i];
      // Nobody can predict the hashes of other types.
      if (typeof key !== "number" && typeof key !== "bigint") continue;
      const bucket = hashOf(key) & (size / 2 - 1);
      counts[bucket]! += typeof key === "bigint" && BigInt.asIntN(64, key) !== key ? 1 : WEIGHT;
      if (counts[bucket]! > MAX_CROWD * WEIGHT) return true;
    }
  }
  return false;
}

/**
 * V8's ComputeUnseededHash of 32 bits and ComputeLongHash of 64, the same in Node 12 to 26. The upper two
 * bits do not matter.
 */
function hashOf(key: number | bigint): number {
  if (typeof key === "bigint") bigints[0] = key < 0 ? -key : key;
  else if (key !== (key | 0)) doubles[0] = key;
  else {
    let hash = Math.imul(key, 32767) - 1;
    hash = Math.imul(hash ^ (hash >>> 12), 5);
    hash = Math.imul(hash ^ (hash >>> 4), 2057);
    return hash ^ (hash >>> 16);
  }
  let low = words[0]!;
  let high = words[1]!;
  const step = (factor: number, shift: number, addend: number): void => {
    const product = (low >>> 0) * factor + addend;
    high = Math.imul(high, factor) + Math.floor(product / 2 ** 32);
    low = product ^ ((high << (32 - shift)) | (product >>> shift));
    high ^= high >>> shift;
  };
  step(0x3ffff, 31, -1);
  step(21, 11, 0);
  step(65, 22, 0);
  return low;
}
