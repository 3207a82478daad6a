import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { DEFAULT_LIMITS } from "../../src/wire/cbor/limits.ts";
import { isQuick } from "../support/extent.ts";

const MEBI = 1024 * 1024;
const hex = (text: string) => Buffer.from(text.replace(/ /g, ""), "hex");
const refuses = (message: Buffer) => assert.throws(() => decodeValue(message), ProtocolError);

/** An array head with a count of four bytes, followed by the same item again and again. */
function repeated(item: string, count: number): Buffer {
  const head = hex("9a00000000");
  head.writeUInt32BE(count, 1);
  return Buffer.concat([head, Buffer.alloc(hex(item).length * count, hex(item))]);
}

/** CPU time, to which other processes do not add. */
function msFor(message: Buffer): number {
  const start = process.cpuUsage();
  try {
    decodeValue(message);
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e3;
}

test("decodeValue refuses nesting bombs without a stack overflow", () => {
  const bombs = [
    "81",
    "a16161",
    "a1",
    "d9010281",
    "d90103a100",
    "d90103a1",
    "c1",
    "c2",
    "d90102",
    "da4d49540081",
    "da4d495400",
    "d840",
    "9f",
    "bf",
  ];
  for (const unit of bombs) refuses(Buffer.alloc(8 * MEBI, hex(unit)));
});

test("decodeValue refuses counts that the input cannot back, at once", () => {
  for (const major of [0x40, 0x60, 0x80, 0xa0]) {
    for (const count of [
      "1affffffff",
      "1b00000000ffffffff",
      "1b001fffffffffffff",
      "1b7fffffffffffffff",
      "1bffffffffffffffff",
    ]) {
      const bomb = hex(count);
      bomb[0] = bomb[0]! | major;
      for (const prefix of [
        "",
        "d90102",
        "d90103",
        "d90111",
        "d840",
        "d856",
        "c2",
        "da4d495402",
        "da4d495403",
      ]) {
        const message = Buffer.concat([hex(prefix), bomb, Buffer.alloc(100)]);
        assert.ok(msFor(message) < 50);
        refuses(message);
      }
    }
  }
});

test("decodeValue bounds the memory that small items can claim", () => {
  const limits = { ...DEFAULT_LIMITS, maxItems: 4096 };
  for (const item of [
    "40",
    "d84040",
    "d9010280",
    "d90103a0",
    "c100",
    "c240",
    "da4d495400866060f6a0f680",
    "da4d49540360",
  ]) {
    assert.throws(() => decodeValue(repeated(item, 4096 / 4 + 1), { limits }), /: too many items$/);
  }
  refuses(repeated("80", DEFAULT_LIMITS.maxItems + 1));
  // The item that costs most for its four bytes.
  const count = DEFAULT_LIMITS.maxItems / 4;
  const before = process.memoryUsage();
  const value = decodeValue(repeated("d9010280", count)) as unknown[];
  const after = process.memoryUsage();
  assert.equal(value.length, count);
  assert.ok(after.heapUsed - before.heapUsed < 512 * MEBI);
});

test("decodeValue takes time in proportion to its input", () => {
  const count = isQuick ? 40_000 : 100_000;
  const texts = Array.from({ length: count }, (_, i) => `key number ${i}`);
  const inputs = (n: number): Record<string, Buffer> => ({
    keys: Buffer.concat(encodeValue(Object.fromEntries(texts.slice(0, n).map((t) => [t, 0])))),
    indexes: Buffer.concat(encodeValue(Object.fromEntries(texts.slice(0, n).map((_, i) => [i * 997, 0])))),
    map: Buffer.concat(encodeValue(new Map(texts.slice(0, n).map((t) => [t, 0])))),
    set: Buffer.concat(encodeValue(new Set(texts.slice(0, n)))),
    text: Buffer.concat(encodeValue("é".repeat(n * 8))),
    surrogates: Buffer.concat(encodeValue("\ud800".repeat(n * 4))),
    bigint: Buffer.concat(encodeValue(2n ** BigInt(n * 32))),
    invalid: Buffer.concat([
      hex("7a"),
      hex((n * 8).toString(16).padStart(8, "0")),
      Buffer.alloc(n * 8, 0xff),
    ]),
  });
  const small = inputs(count / 16);
  const best = (message: Buffer): number => Math.min(...Array.from({ length: 5 }, () => msFor(message)));
  for (const [name, message] of Object.entries(inputs(count))) {
    // Sixteen times the input: a quadratic decoder would take 256 times as long. A busy machine makes it some
    // 50.
    const once = Math.max(best(small[name]!), 2);
    assert.ok(best(message) < once * 130, name);
  }
});

test("decodeValue leaves no trace of hostile keys", () => {
  for (const key of ["constructor", "prototype", "hasOwnProperty", "toString", "then", "toJSON", "length"]) {
    const value = decodeValue(Buffer.concat(encodeValue({ [key]: { polluted: true } }))) as object;
    assert.deepEqual(Object.keys(value), [key]);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  }
  refuses(hex("a1 69 5f5f70726f746f5f5f a1 61 61 01"));
});

test('decodeValue does not let keys like "1000" claim room for a thousand values', () => {
  const message = (key: string) =>
    repeated(`a1${Buffer.from(encodeValue(key)[0]!).toString("hex")}01`, 20_000);
  const bytesFor = (key: string): number => {
    const before = process.memoryUsage().heapUsed;
    const value = decodeValue(message(key)) as object[];
    const used = process.memoryUsage().heapUsed - before;
    assert.deepEqual(value[19_999], { [key]: 1 });
    return used;
  };
  // Without the check, each of the 20,000 objects took 12 KB.
  for (const key of ["300", "900", "1020"]) assert.ok(bytesFor(key) < 100 * MEBI, key);
});

test("decodeValue keeps keys that are numbers far apart, in JavaScript's order", () => {
  const value = { "": 0, 0: 1, 100: 2, 50: 3, 4294967294: 4, "-5": 5, "1e3": 6, 4294967295: 7 };
  assert.deepEqual(decodeValue(encodeValue(value)[0]!), value);
  const message = Buffer.from(
    `a26a${Buffer.from("4294967294").toString("hex")}0163${Buffer.from("900").toString("hex")}02`,
    "hex",
  );
  assert.deepEqual(decodeValue(message), { 900: 2, 4294967294: 1 });
});
