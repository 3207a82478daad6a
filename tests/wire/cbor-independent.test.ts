import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as cborg from "cborg";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";

// Two implementations by other people, for the types all three share.
const cbor = createRequire(import.meta.url)("cbor") as {
  encodeOne(value: unknown, options: object): Buffer;
  decodeFirstSync(bytes: Uint8Array, options?: object): unknown;
};

/** cbor 10.0.12 encodes no more than a first byte on Node 26. */
const NO_ENCODER =
  cbor.encodeOne("ab", {}).length === 3 ? false : "this version of cbor cannot encode on this Node";

const SHARED: unknown[] = [
  undefined,
  null,
  true,
  false,
  ...[0, 1, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
    .flatMap((n) => [n, -n - 1])
    .slice(0, -1),
  ...[1.5, -4.1, 1e300, 5e-324, Infinity, -Infinity, NaN],
  ...["", "abc", "é€😀", "x".repeat(23), "x".repeat(24), "x".repeat(300), "€".repeat(70_000)],
  ...[0, 1, 23, 24, 255, 256, 70_000].map((size) => new Uint8Array(size).fill(7)),
  [],
  Array.from({ length: 300 }, (_, i) => i),
  [[], [[]], [1, [2, [3, [4]]]]],
  {},
  { a: 1, b: { c: [null, undefined, "x"] } },
  Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key${i}`, i])),
];

/** Removes the difference between Buffer and Uint8Array, which major type 2 does not know. */
function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value) : value;
}

test("decodeValue reads what cborg writes", () => {
  for (const value of SHARED) assert.deepEqual(decodeValue(cborg.encode(value)), plain(value));
  assert.deepEqual(decodeValue(cborg.encode({ b: new Uint8Array(3) })), { b: Buffer.alloc(3) });
});

test("decodeValue reads what cbor writes", { skip: NO_ENCODER }, () => {
  for (const value of SHARED) {
    const bytes = cbor.encodeOne(plain(value), { highWaterMark: 1e6, collapseBigIntegers: false });
    assert.deepEqual(decodeValue(bytes), plain(value));
  }
  for (const value of [2n ** 64n, -(2n ** 100n), new Date(1500)]) {
    assert.deepEqual(decodeValue(cbor.encodeOne(value, {})), value);
  }
});

test("encodeValue writes what cborg reads", () => {
  for (const value of SHARED) {
    const bytes = Buffer.concat(encodeValue(plain(value)));
    assert.deepEqual(plain(cborg.decode(bytes, { strict: true, allowBigInt: false })), plain(value));
  }
});

test("encodeValue writes what cbor reads", () => {
  for (const value of [...SHARED, -0, 5n, -5n, 2n ** 70n, new Date(1500), new Date(0)]) {
    const bytes = Buffer.concat(encodeValue(plain(value)));
    const read = cbor.decodeFirstSync(bytes);
    // That library makes numbers of small bigints.
    assert.deepEqual(typeof value === "bigint" ? BigInt(read as bigint) : read, plain(value));
  }
});

test("encodeValue writes typed arrays, maps and sets that cbor reads", () => {
  const values = [new Uint8Array([1]), new Uint16Array([1, 500]), new Int32Array([-5]), new Float64Array([1.5, NaN]), new Set([1, "a"])]; // biome-ignore format: list
  for (const value of values)
    assert.deepEqual(cbor.decodeFirstSync(Buffer.concat(encodeValue(value))), value);
});

test("encodeValue writes a URL that cbor reads, and reads what it writes", { skip: NO_ENCODER }, () => {
  const url = new URL("http://a/b?c");
  for (const copy of [
    cbor.decodeFirstSync(Buffer.concat(encodeValue(url))),
    decodeValue(cbor.encodeOne(url, {})),
  ]) {
    assert.ok(copy instanceof URL);
    assert.equal(copy.href, url.href);
  }
});
