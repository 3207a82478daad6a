import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { ProtocolError } from "../../../src/errors.ts";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { isCrowded } from "../../../src/wire/cbor/key-crowd.ts";
import { collidingBigints, collidingDoubles, collidingIntegers } from "../../support/colliding-keys.ts";
import { isFull, isQuick } from "../../support/extent.ts";
import { nodes, repoRoot } from "../../support/lab.ts";

const HONEST: Record<string, (i: number) => number | bigint> = {
  integers: (i) => i,
  "negative integers": (i) => -i,
  "multiples of 4096": (i) => i * 4096,
  "multiples of 2 ** 32": (i) => i * 2 ** 32,
  "multiples of 2 ** 500": (i) => i * 2 ** 500,
  "timestamps in milliseconds": (i) => 1.7e12 + i,
  "timestamps, one a minute": (i) => 1.7e12 + i * 60_000,
  days: (i) => i * 86_400_000,
  "addresses of 10.0.0.0/8": (i) => 0x0a000000 + i,
  "networks of 192.0.0.0/8": (i) => 0xc0000000 + i * 16,
  tenths: (i) => i / 10,
  fractions: (i) => 1 / (i + 1),
  squares: (i) => i * i,
  bigints: (i) => BigInt(i),
  "negative bigints": (i) => -BigInt(i),
  "nanoseconds since 1970": (i) => 1_700_000_000_000_000_000n + BigInt(i) * 1000n,
  "multiples of 2n ** 40n": (i) => BigInt(i) << 40n,
  "bigints of 128 bits": (i) => (0x20010db8n << 96n) + BigInt(i),
};

test("isCrowded accepts keys that are not chosen against V8's hash", () => {
  for (const [name, key] of Object.entries(HONEST)) {
    for (const count of isFull ? [65, 1000, 33_000, 500_000] : [65, 1000, isQuick ? 9_000 : 33_000]) {
      if (typeof key(0) === "bigint" && count > 100_000) continue;
      assert.equal(
        isCrowded(
          Array.from({ length: count }, (_, i) => key(i)),
          1,
        ),
        false,
        `${count} ${name}`,
      );
    }
  }
  const random = Array.from(
    { length: isFull ? 300_000 : isQuick ? 20_000 : 70_000 },
    () => Math.floor(Math.random() * 2 ** 32) - 2 ** 31,
  );
  assert.equal(isCrowded(random, 1), false);
});

test("isCrowded accepts 192 bigints that agree in their low 64 bits, as /64 networks do, and no more", () => {
  const networks = Array.from({ length: 193 }, (_, i) => BigInt(i + 1) << 64n);
  assert.equal(isCrowded(networks.slice(1), 1), false);
  assert.equal(isCrowded(networks, 1), true);
});

test("decodeValue refuses numbers and bigints that V8 would put into one bucket", () => {
  const count = isFull ? 65_536 : 8192;
  for (const keys of [collidingIntegers(count), collidingDoubles(count), collidingBigints(count / 4)]) {
    for (const value of [keys, [...keys.map((_, i) => `honest ${i}`), ...keys]]) {
      refuses(collection(258, 4, value));
      refuses(
        collection(
          259,
          5,
          value.flatMap((key) => [key, null]),
        ),
      );
    }
  }
});

test("decodeValue refuses small crowds, too, because many fit in a message", () => {
  // So few keys do no harm, and are not checked.
  decodeValue(collection(258, 4, collidingIntegers(64)));
  for (const count of [130, 500, 2000]) refuses(collection(258, 4, collidingIntegers(count, 11)));
});

test("decodeValue refuses crowds that a table spreads only when it has its last size", () => {
  // The first thousands share a bucket while the table is small. The others, all different, make it large.
  const early = collidingIntegers(4000, 11);
  const late = Array.from({ length: 60_000 }, (_, i) => 2 ** 33 + i);
  refuses(collection(258, 4, [...early, ...late]));
});

const COSTLY = isFull ? 4096 : isQuick ? 1024 : 2048;
test("V8 hashes as isCrowded expects, in every Node of the lab", () => {
  const input = JSON.stringify({
    integers: collidingIntegers(COSTLY),
    doubles: collidingDoubles(COSTLY),
    bigints: collidingBigints(COSTLY).map(String),
  });
  for (const node of [process.execPath, ...Object.values(nodes)]) {
    const ratios: number[] = JSON.parse(
      execFileSync(node, [join(repoRoot, "tests/fixtures/set-cost.cjs")], { input, encoding: "utf8" }),
    );
    // 40 to 400 where it is so, one where it is not.
    for (const ratio of ratios) assert.ok(ratio > 8, `${node}: ${ratios}`);
  }
});

/** Returns a tagged container of these items, without making a Set or a Map of them. */
function collection(tag: number, major: number, items: readonly unknown[]): Buffer {
  const body = Buffer.concat(encodeValue(items) as Buffer[]);
  const headBytes = [1, 2, 3, 5][Math.max(0, (body[0]! & 31) - 23)]!;
  const head = Buffer.alloc(8);
  head.writeUInt8(0xd9);
  head.writeUInt16BE(tag, 1);
  head.writeUInt8((major << 5) | 26, 3);
  head.writeUInt32BE(major === 5 ? items.length / 2 : items.length, 4);
  return Buffer.concat([head, body.subarray(headBytes)]);
}

function refuses(message: Buffer): void {
  assert.throws(
    () => decodeValue(message),
    new ProtocolError(`Malformed value at byte ${message.length}: keys that V8 hashes alike`),
  );
}
