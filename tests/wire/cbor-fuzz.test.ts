import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";
import { Blob } from "../../src/wire/values/blob.ts";
import { isFull, isQuick } from "../support/extent.ts";
import { fakeReviver } from "../support/fake-reference.ts";
import { sampleValues } from "./sample-values.ts";

const SEED = 20240229;
/** A short run takes every fourth of 40,000 messages, a quick one every tenth. */
const SHARE = isFull ? 1 : isQuick ? 10 : 4;

test("encodeValue and decodeValue give back random values", () => {
  const random = generator(SEED);
  for (let i = 0; i < 10_000 / SHARE; i++) {
    const value = randomValue(random, 4);
    assert.deepEqual(decodeValue(Buffer.concat(encodeValue(value))), value);
  }
});

test("decodeValue throws only ProtocolError, whatever changed in a message", () => {
  const random = generator(SEED);
  const messages = sampleValues().map((value) => Buffer.concat(encodeValue(value)));
  let accepted = 0;
  for (let i = 0; i < 40_000 / SHARE; i++) {
    const message = mutate(messages[random(messages.length)]!, messages[random(messages.length)]!, random);
    accepted += decodes(message) ? 1 : 0;
  }
  // If all messages were accepted, or none, the mutations would prove nothing.
  assert.ok(accepted > 1000 / SHARE && accepted < 39_000 / SHARE, `${accepted} accepted`);
});

test("decodeValue throws only ProtocolError for random bytes", () => {
  const random = generator(SEED);
  for (let i = 0; i < 20_000 / SHARE; i++)
    decodes(Buffer.from(Array.from({ length: random(30) }, () => random(256))));
});

test("encodeValue encodes what decodeValue returned, and the value stays the same", () => {
  const random = generator(SEED + 1);
  const messages = sampleValues().map((value) => Buffer.concat(encodeValue(value)));
  for (let i = 0; i < 20_000 / SHARE; i++) {
    const message = mutate(messages[random(messages.length)]!, messages[random(messages.length)]!, random);
    if (!decodes(message)) continue;
    const again = Buffer.concat(encodeValue(decodeValue(message, { reviver: fakeReviver })));
    const thrice = Buffer.concat(encodeValue(decodeValue(again, { reviver: fakeReviver })));
    assert.equal(thrice.toString("hex"), again.toString("hex"));
  }
});

function decodes(message: Buffer): boolean {
  try {
    decodeValue(message, { reviver: fakeReviver });
    return true;
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `${message.toString("hex")}: ${(error as Error).stack}`);
    return false;
  }
}

type Random = (below: number) => number;

/** Mulberry32: a small generator with the same numbers everywhere. */
function generator(seed: number): Random {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Changes, drops or repeats a few bytes, or replaces them by a piece of another message. */
function mutate(message: Buffer, other: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(message);
  for (let n = 1 + random(3); n > 0; n--) {
    const at = random(bytes.length + 1);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const piece = other.subarray(random(other.length)).subarray(0, random(8));
    const kind = random(5);
    if (kind === 0 && at < bytes.length) bytes[at] = random(256);
    else if (kind === 1 && at < bytes.length) bytes[at] = bytes[at]! ^ (1 << random(8));
    else if (kind === 2) bytes = Buffer.concat([before, after.subarray(random(4))]);
    else if (kind === 3) bytes = Buffer.concat([before, piece, after]);
    else bytes = Buffer.concat([before, piece, after.subarray(piece.length)]);
  }
  return bytes;
}

function randomValue(random: Random, depth: number): unknown {
  const many = <T>(make: (i: number) => T): T[] => Array.from({ length: random(5) }, (_, i) => make(i));
  const inner = () => randomValue(random, depth - 1);
  const leaves = [
    () => undefined,
    () => null,
    () => random(2) === 0,
    () => random(300) - 150,
    () => (random(2 ** 32) - 2 ** 31) * 2 ** random(40),
    () => (random(2 ** 32) - 2 ** 31) / (1 + random(1000)),
    () => [NaN, -0, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53][random(7)],
    () => BigInt(random(2 ** 32) - 2 ** 31) ** BigInt(random(5)),
    () => randomText(random),
    () => Buffer.from(many(() => random(256))),
    () => new Uint8Array(many(() => random(256))),
    () => new Int16Array(many(() => random(65536))),
    () => new Float64Array(many(() => random(2 ** 32) / 7)),
    () => new BigUint64Array(many(() => BigInt(random(2 ** 32)) ** 2n)),
    () => new Blob(many(() => random(256))),
    () => new Date((random(2 ** 32) - 2 ** 31) * random(2_000_000)),
  ];
  const containers = [
    () => many(inner),
    () => Object.fromEntries(many((i) => [randomText(random) + i, inner()])),
    () => new Map(many((i) => [i, inner()])),
    () => new Set(many((i) => (random(2) === 0 ? i : [inner()]))),
  ];
  return depth > 0 && random(2) === 0 ? containers[random(4)]!() : leaves[random(leaves.length)]!();
}

function randomText(random: Random): string {
  const alphabets = [
    () => 32 + random(95),
    () => random(256),
    () => random(0x110000),
    () => 0xd7f0 + random(0x820),
  ];
  const alphabet = alphabets[random(4)]!;
  return Array.from({ length: random(random(10) === 0 ? 100 : 10) }, () =>
    String.fromCodePoint(alphabet()),
  ).join("");
}
