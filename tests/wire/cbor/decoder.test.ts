import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../../src/errors.ts";
import { type DecodeOptions, decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { DEFAULT_LIMITS } from "../../../src/wire/cbor/limits.ts";
import { fakeReviver } from "../../support/fake-reference.ts";
import { sampleValues } from "../sample-values.ts";

const bytesOf = (hex: string) => Buffer.from(hex.replace(/ /g, ""), "hex");
const decode = (hex: string, options?: DecodeOptions) => decodeValue(bytesOf(hex), options);

function refuses(hex: string, reason: RegExp | string, options?: DecodeOptions): void {
  const pattern = typeof reason === "string" ? `: ${reason}` : reason;
  assert.throws(
    () => decode(hex, options),
    (error) => {
      assert.ok(error instanceof ProtocolError, `${hex}: ${error}`);
      assert.match(error.message, /^Malformed value at byte \d+: /);
      assert.ok(
        typeof pattern === "string" ? error.message.endsWith(pattern) : pattern.test(error.message),
        `${hex}: ${error}`,
      );
      return true;
    },
  );
}

test("decodeValue takes exactly one item", () => {
  refuses("", "unexpected end");
  refuses("0000", "bytes after the value");
  refuses("80f6", "bytes after the value");
});

test("decodeValue takes heads that are longer than necessary", () => {
  assert.equal(decode("1801"), 1);
  assert.equal(decode("1b0000000000000001"), 1);
  assert.deepEqual(decode("9a00000001 01"), [1]);
  assert.equal(decode("7b0000000000000001 61"), "a");
});

test("decodeValue makes bigints from integers that a number cannot hold", () => {
  assert.equal(decode("1b001fffffffffffff"), Number.MAX_SAFE_INTEGER);
  assert.equal(decode("1b0020000000000000"), 2n ** 53n);
  assert.equal(decode("1bffffffffffffffff"), 2n ** 64n - 1n);
  assert.equal(decode("3b001ffffffffffffe"), Number.MIN_SAFE_INTEGER);
  assert.equal(decode("3b001fffffffffffff"), -(2n ** 53n));
  assert.equal(decode("3bffffffffffffffff"), -(2n ** 64n));
});

test("decodeValue refuses indefinite lengths and reserved heads", () => {
  for (const major of [0, 1, 2, 3, 4, 5, 6]) {
    for (const info of [28, 29, 30, 31])
      refuses(Buffer.from([(major << 5) | info, 0xff]).toString("hex"), /head$/);
  }
});

test("decodeValue refuses all simple values except four", () => {
  for (let info = 0; info < 32; info++) {
    if ([20, 21, 22, 23, 25, 26, 27].includes(info)) continue;
    refuses(Buffer.from([0xe0 | info, 0xf5]).toString("hex"), "not a type that travels");
  }
});

test("decodeValue refuses unknown tags", () => {
  for (const tag of [
    "c0",
    "c4",
    "c5",
    "d7",
    "d818",
    "d823",
    "d841",
    "d84c",
    "d854",
    "d9d9f7",
    "da4d495406",
    "dbffffffffffffffff",
  ]) {
    refuses(`${tag} 40`, "unknown tag");
  }
});

test("decodeValue refuses a tag over the wrong content", () => {
  for (const tag of ["c2", "c3", "d840", "d856", "d90111", "da4d495402"])
    refuses(`${tag} 60`, "wrong content of a tag");
  for (const tag of ["d90102", "da4d495400", "da4d495401", "da4d495404", "da4d495405"]) {
    refuses(`${tag} a0`, "wrong content of a tag", { reviver: fakeReviver });
  }
  refuses("d90103 80", "wrong content of a tag");
  refuses("da4d495403 40", "wrong content of a tag");
  refuses("c1 60", "not a date");
  refuses("c1 c1 00", "not a date");
  refuses("c1 f6", "not a date");
  refuses("c1 fb7ff0000000000000", "not a date");
  refuses("c1 1b000007dba8218001", "not a date");
  assert.deepEqual(decode("c1 1b000007dba8218000"), new Date(8.64e15));
});

test("decodeValue keeps every millisecond of Date", () => {
  const max = 8.64e15;
  for (const ms of [0, 1, -1, 999, 1001, -62135596800001, 253402300799999, max, max - 1, -max, 1 - max]) {
    assert.equal((decodeValue(Buffer.concat(encodeValue(new Date(ms)))) as Date).getTime(), ms);
  }
  for (let i = 0, ms = 12345; i < 20_000; i++, ms = (ms * 48271 + i * 7919 * 65536) % max) {
    assert.equal((decodeValue(Buffer.concat(encodeValue(new Date(ms)))) as Date).getTime(), ms);
  }
});

test("decodeValue refuses invalid UTF-8 of any length", () => {
  const broken = [
    "80",
    "ff",
    "c3",
    "c080",
    "e282",
    "eda080",
    "edb080",
    "f0808080",
    "f4908080",
    "f8888080",
    "c328",
  ];
  for (const hex of broken) {
    for (const padding of [0, 1, 30, 300, 20_000]) {
      const bytes = Buffer.concat([Buffer.alloc(padding, "x"), bytesOf(hex), Buffer.alloc(padding, "y")]);
      const head = bytesOf("7a00000000");
      head.writeUInt32BE(bytes.length, 1);
      refuses(Buffer.concat([head, bytes]).toString("hex"), "invalid UTF-8");
    }
  }
  assert.equal(decode("63efbfbd"), "\ufffd");
});

test("decodeValue refuses tag 273 for anything but WTF-8 with a lone surrogate", () => {
  const refused = [
    "",
    "61",
    "f09f9880",
    "eda0bdedb880",
    "eda0",
    "ed",
    "80eda080",
    "c0afeda080",
    "eda080f0",
    "eda080f5808080",
    "e0808feda080",
    "ff",
  ];
  for (const hex of refused)
    refuses(`d90111 58${(hex.length / 2).toString(16).padStart(2, "0")} ${hex}`, "invalid WTF-8");
  assert.equal(decode("d90111 46 edb080eda080"), "\udc00\ud800");
});

test("decodeValue refuses keys of plain objects that are not text, that come twice, or that are __proto__", () => {
  refuses("a1 00 00", "key of an object is not text");
  refuses("a1 80 00", "key of an object is not text");
  refuses("a1 c240 00", "key of an object is not text");
  refuses("a1 69 5f5f70726f746f5f5f a0", "__proto__ or duplicate key");
  refuses("a2 6161 00 6161 00", "__proto__ or duplicate key");
  refuses("a2 6131 00 6131 00", "__proto__ or duplicate key");
  assert.deepEqual(decode("a1 68746f537472696e67 01"), { toString: 1 });
});

test("decodeValue refuses keys that are equal for a map or a set", () => {
  for (const [a, b] of [
    ["00", "00"],
    ["6161", "6161"],
    ["f97e00", "fb7ff8000000000000"],
    ["00", "f98000"],
    ["c24101", "c24101"],
  ]) {
    // biome-ignore format: table
    refuses(`d90103 a2 ${a} f6 ${b} f6`, "duplicate key");
    refuses(`d90102 82 ${a} ${b}`, "duplicate member");
  }
  assert.equal((decode("d90103 a2 80 f6 80 f6") as Map<unknown, unknown>).size, 2);
});

test("decodeValue refuses typed arrays that end within an element", () => {
  for (const tag of [69, 70, 71, 77, 78, 79, 85, 86])
    refuses(`d8${tag.toString(16)} 4101`, "fraction of an element");
});

test("decodeValue needs a reviver for contexts and senders, and checks them first", () => {
  refuses("da4d495404 82 07 6161", "a context or sender is not expected here");
  refuses("da4d495405 82 07 01", "a context or sender is not expected here");
  const options = { reviver: fakeReviver };
  decode(`da4d495404 82 1affffffff 7863${"61".repeat(99)}`, options);
  decode("da4d495405 82 00 1affffffff", options);
  refuses(`da4d495404 82 07 7864${"61".repeat(100)}`, "malformed reference", options);
  refuses("da4d495404 82 1b0000000100000000 6161", "malformed reference", options);
  refuses("da4d495404 83 07 6161", "malformed reference", options);
  refuses("da4d495405 82 07 00", "malformed reference", options);
  refuses("da4d495405 82 07 1b0000000100000000", "malformed reference", options);
  refuses("da4d495405 82 20 01", "wrong content of a tag", options);
  refuses("da4d495404 82 07 4161", "wrong content of a tag", options);
});

test("decodeValue refuses malformed records of errors", () => {
  const record = ["6145", "6178", "f6", "a0", "f6", "80"];
  assert.ok(decode(`da4d495400 86 ${record.join("")}`) instanceof Error);
  refuses("da4d495400 80", "malformed error");
  refuses(`da4d495400 85 ${record.slice(0, 5).join("")}`, "malformed error");
  refuses(`da4d495400 87 ${record.join("")} 00`, "malformed error");
  const wrong = [["00", "f6", "80"], ["00", "f6", "80"], ["00", "80", "f7"], ["f6", "80", "d9010280", "00"], ["a0", "f7", "00", "60"], ["f6", "820000", "a0"]]; // biome-ignore format: table
  for (const [i, replacements] of wrong.entries()) {
    for (const hex of replacements) {
      refuses(
        `da4d495400 86 ${[...record.slice(0, i), hex, ...record.slice(i + 1)].join("")}`,
        "malformed error",
      );
    }
  }
});

test("decodeValue refuses a bigint that this Node cannot hold, and takes long ones", () => {
  const long = 2n ** 100_000n - 1n;
  assert.equal(decodeValue(Buffer.concat(encodeValue(long))), long);
  assert.equal(decodeValue(Buffer.concat(encodeValue(-long))), -long);
});

test("decodeValue returns views of a message that is mostly one byte string", () => {
  for (const make of [Buffer.from, (n: ArrayBuffer) => new Uint8Array(n)] as ((
    n: ArrayBuffer,
  ) => Uint8Array)[]) {
    const message = Buffer.concat(encodeValue(["x", make(new ArrayBuffer(100_000))]));
    const [, bytes] = decodeValue(message) as [string, Uint8Array];
    assert.equal(bytes.buffer, message.buffer);
  }
});

test("decodeValue copies a small byte string, and misaligned elements", () => {
  const [small] = decodeValue(Buffer.concat(encodeValue([new Uint8Array(10), "x".repeat(100)]))) as [
    Uint8Array,
  ];
  assert.equal(small.buffer.byteLength, 10);
  const message = Buffer.concat(encodeValue([Buffer.alloc(10), "x".repeat(10_000)]));
  const [buffer] = decodeValue(message) as [Buffer];
  // The pool of Node's Buffers may hold both the message and the copy.
  message.fill(1);
  assert.deepEqual(buffer, Buffer.alloc(10));
  for (let offset = 0; offset < 8; offset++) {
    const floats = new Float64Array(100).map((_, i) => i / 3);
    const message = Buffer.concat([Buffer.alloc(offset), ...encodeValue(floats)]).subarray(offset);
    assert.deepEqual(decodeValue(message), floats);
  }
});

test("decodeValue takes any Uint8Array", () => {
  assert.deepEqual(decodeValue(new Uint8Array([0x82, 0x61, 0x61, 0x41, 0x07])), ["a", Buffer.from([7])]);
  assert.deepEqual(decodeValue(new Uint8Array([9, 9, 0x81, 0x01, 9]).subarray(2, 4)), [1]);
});

test("decodeValue enforces every limit: it refuses one too many", () => {
  const limits = (change: object) => ({ limits: { ...DEFAULT_LIMITS, ...change } });
  decode("6461626364", limits({ maxMessageBytes: 5 }));
  refuses("656162636465", "message over the limit", limits({ maxMessageBytes: 5 }));
  decode("81818180", limits({ maxDepth: 4 }));
  refuses("8181818180", "nested too deep", limits({ maxDepth: 4 }));
  refuses("a16161d90103a100d9010281d9010280", "nested too deep", limits({ maxDepth: 3 }));
  decode("83000000", limits({ maxItems: 3 }));
  refuses("8400000000", "too many items", limits({ maxItems: 3 }));
  refuses("a2616100616200", "too many items", limits({ maxItems: 3 }));
  decode("8140", limits({ maxItems: 4 }));
  refuses("8140", "too many items", limits({ maxItems: 3 }));
  refuses("81c100", "too many items", limits({ maxItems: 3 }));
});

test("decodeValue has the limits of encodeValue", () => {
  for (const value of sampleValues()) {
    const message = Buffer.concat(encodeValue(value));
    for (const limit of ["maxItems", "maxDepth", "maxMessageBytes"] as const) {
      for (let max = 0; max < message.length + 60; max++) {
        const limits = { ...DEFAULT_LIMITS, [limit]: max };
        let sent: Uint8Array;
        try {
          sent = Buffer.concat(encodeValue(value, { limits }));
        } catch {
          continue;
        }
        decodeValue(sent, { limits, reviver: fakeReviver });
      }
    }
  }
});

test("decodeValue refuses a message cut anywhere", () => {
  for (const value of sampleValues()) {
    const message = Buffer.concat(encodeValue(value));
    for (let cut = 0; cut < message.length; cut++) {
      assert.throws(() => decodeValue(message.subarray(0, cut), { reviver: fakeReviver }), ProtocolError);
    }
  }
});
