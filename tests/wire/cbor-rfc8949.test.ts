import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../src/errors.ts";
import { decodeValue } from "../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../src/wire/cbor/encoder.ts";

/** The items of appendix A of RFC 8949 that travel, in its order, with their values. */
const TRAVELS: [hex: string, value: unknown][] = [
  ["00", 0],
  ["01", 1],
  ["0a", 10],
  ["17", 23],
  ["1818", 24],
  ["1819", 25],
  ["1864", 100],
  ["1903e8", 1000],
  ["1a000f4240", 1000000],
  ["1b000000e8d4a51000", 1000000000000],
  ["1bffffffffffffffff", 18446744073709551615n],
  ["c249010000000000000000", 18446744073709551616n],
  ["3bffffffffffffffff", -18446744073709551616n],
  ["c349010000000000000000", -18446744073709551617n],
  ["20", -1],
  ["29", -10],
  ["3863", -100],
  ["3903e7", -1000],
  ["f90000", 0],
  ["f98000", -0],
  ["f93c00", 1],
  ["fb3ff199999999999a", 1.1],
  ["f93e00", 1.5],
  ["f97bff", 65504],
  ["fa47c35000", 100000],
  ["fa7f7fffff", 3.4028234663852886e38],
  ["fb7e37e43c8800759c", 1e300],
  ["f90001", 2 ** -24],
  ["f90400", 0.00006103515625],
  ["f9c400", -4],
  ["fbc010666666666666", -4.1],
  ["f97c00", Infinity],
  ["f97e00", NaN],
  ["f9fc00", -Infinity],
  ["fa7f800000", Infinity],
  ["fa7fc00000", NaN],
  ["faff800000", -Infinity],
  ["fb7ff0000000000000", Infinity],
  ["fb7ff8000000000000", NaN],
  ["fbfff0000000000000", -Infinity],
  ["f4", false],
  ["f5", true],
  ["f6", null],
  ["f7", undefined],
  ["c11a514b67b0", new Date("2013-03-21T20:04:00Z")],
  ["c1fb41d452d9ec200000", new Date("2013-03-21T20:04:00.500Z")],
  ["40", Buffer.alloc(0)],
  ["4401020304", Buffer.from([1, 2, 3, 4])],
  ["60", ""],
  ["6161", "a"],
  ["6449455446", "IETF"],
  ["62225c", '"\\'],
  ["62c3bc", "ü"],
  ["63e6b0b4", "水"],
  ["64f0908591", "𐅑"],
  ["80", []],
  ["83010203", [1, 2, 3]],
  ["8301820203820405", [1, [2, 3], [4, 5]]],
  ["98190102030405060708090a0b0c0d0e0f101112131415161718181819", Array.from({ length: 25 }, (_, i) => i + 1)],
  ["a0", {}],
  ["a26161016162820203", { a: 1, b: [2, 3] }],
  ["826161a161626163", ["a", { b: "c" }]],
  ["a56161614161626142616361436164614461656145", { a: "A", b: "B", c: "C", d: "D", e: "E" }],
];

/** The rest of appendix A: other simple values, tags, integer keys outside a Map, indefinite lengths. */
const REFUSED = [
  "f0",
  "f8ff",
  "c074323031332d30332d32315432303a30343a30305a",
  "d74401020304",
  "d818456449455446",
  "a201020304",
  "5f42010243030405ff",
  "7f657374726561646d696e67ff",
  "9fff",
  "9f018202039f0405ffff",
  "9f01820203820405ff",
  "83018202039f0405ff",
  "83019f0203ff820405",
  "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
  "bf61610161629f0203ffff",
  "826161bf61626163ff",
  "bf6346756ef563416d7421ff",
];

test("decodeValue agrees with appendix A of RFC 8949", () => {
  for (const [hex, value] of TRAVELS) assert.deepEqual(decodeValue(Buffer.from(hex, "hex")), value, hex);
});

test("decodeValue makes a URL from the one in appendix A", () => {
  const url = decodeValue(Buffer.from("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "hex"));
  assert.ok(url instanceof URL);
  assert.equal(url.href, "http://www.example.com/");
});

test("decodeValue refuses the values of appendix A of RFC 8949 that do not travel", () => {
  for (const hex of REFUSED) assert.throws(() => decodeValue(Buffer.from(hex, "hex")), ProtocolError, hex);
});

test("encodeValue agrees with appendix A of RFC 8949, except for short floats and big integers", () => {
  for (const [hex, value] of TRAVELS) {
    if (/^(f9|fa|1bff|3bff)/.test(hex)) continue;
    assert.equal(Buffer.concat(encodeValue(value)).toString("hex"), hex);
  }
});
