/**
 * Keys of a Set or a Map that V8 puts into one bucket. V8 hashes numbers without a seed, so its hash functions
 * can be inverted.
 */

const MASK_64 = 2n ** 64n - 1n;

/** 32-bit integers whose hashes agree in the low `bits`. */
export function collidingIntegers(count: number, bits = 15): number[] {
  return Array.from({ length: count }, (_, i) => {
    let hash = unshift(BigInt(i) << BigInt(bits), 16n, 32n);
    hash = unshift(hash * inverse(2057n, 32n), 4n, 32n);
    hash = unshift(hash * inverse(5n, 32n), 12n, 32n);
    return Number(BigInt.asIntN(32, (hash + 1n) * inverse(32767n, 32n)));
  });
}

/** 64-bit bigints of the same kind. */
export function collidingBigints(count: number, bits = 20): bigint[] {
  return Array.from({ length: count }, (_, i) => {
    let hash = unshift(BigInt(i + 1) << BigInt(bits), 22n, 64n);
    hash = unshift(hash * inverse(65n, 64n), 11n, 64n);
    hash = unshift(hash * inverse(21n, 64n), 31n, 64n);
    return ((hash + 1n) * inverse(0x3ffffn, 64n)) & MASK_64;
  });
}

/** The same 64 bits as floating-point numbers. */
export function collidingDoubles(count: number): number[] {
  const bits = new BigUint64Array(collidingBigints(count * 2));
  const numbers = [...new Float64Array(bits.buffer)];
  return numbers.filter((number) => !Number.isSafeInteger(number) && !Number.isNaN(number)).slice(0, count);
}

/** The number whose bits, with those `shift` places above mixed in, are `mixed`. */
function unshift(mixed: bigint, shift: bigint, width: bigint): bigint {
  const whole = BigInt.asUintN(Number(width), mixed);
  let found = whole;
  for (let known = shift; known < width; known += shift) found = whole ^ (found >> shift);
  return found;
}

/** The inverse of an odd number modulo 2 ** `width`. */
function inverse(odd: bigint, width: bigint): bigint {
  let found = odd;
  for (let bits = 3n; bits < width; bits *= 2n) {
    found = BigInt.asUintN(Number(width), found * (2n - odd * found));
  }
  return found;
}
