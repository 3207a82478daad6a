import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { type EncodeOptions, encodeValue, setPlainForm } from "../../../src/wire/cbor/encoder.ts";
import { DEFAULT_LIMITS } from "../../../src/wire/cbor/limits.ts";
import { Blob } from "../../../src/wire/values/blob.ts";
import { formatPath } from "../../../src/wire/values/path.ts";
import { plainForm } from "../../../src/wire/values/plain-form.ts";
import { Secret } from "../../../src/wire/values/secret.ts";
import { FakeReference } from "../../support/fake-reference.ts";

setPlainForm(plainForm);

const encode = (value: unknown, options?: EncodeOptions) => Buffer.concat(encodeValue(value, options));
const roundTrip = (value: unknown) => decodeValue(encode(value));
const limits = (change: object) => ({ limits: { ...DEFAULT_LIMITS, ...change } });

function refuses(
  value: unknown,
  message: string,
  type: typeof Error = TypeError,
  options?: EncodeOptions,
): void {
  assert.throws(
    () => encodeValue(value, options),
    (error) => {
      assert.ok(error instanceof type);
      assert.equal(error.message, `Cannot send ${message}`);
      return true;
    },
  );
}

// Layouts type by type are in docs/encoding.md, tested by tests/docs/encoding.test.ts.

test("encodeValue writes the body of a typical call in one chunk", () => {
  const chunks = encodeValue([null, "file:///srv/app/x.ts", ["f"], [1, "abc", { a: 1 }]]);
  assert.equal(chunks.length, 1);
  assert.equal(
    Buffer.from(chunks[0]!).toString("hex"),
    "84f67466696c653a2f2f2f7372762f6170702f782e7473816166830163616263a1616101",
  );
});

test("encodeValue writes heads in their shortest form", () => {
  const heads = new Map<number, string>([
    [0, "00"],
    [23, "17"],
    [24, "1818"],
    [255, "18ff"],
    [256, "190100"],
    [65535, "19ffff"],
    [65536, "1a00010000"],
    [2 ** 32 - 1, "1affffffff"],
    [2 ** 32, "1b0000000100000000"],
    [-24, "37"],
    [-25, "3818"],
    [-(2 ** 32) - 1, "3b0000000100000000"],
  ]);
  for (const [value, hex] of heads) assert.equal(encode(value).toString("hex"), hex);
});

test("encodeValue writes strings of every length and alphabet", () => {
  for (const unit of ["a", "é", "€", "😀", "\0", "\x7f", "\x80", "\ufffd", "\ufeff", "\ud800", "\udc00"]) {
    for (const count of [0, 1, 2, 22, 23, 24, 25, 100, 255, 256, 8191, 8192, 8193, 65535, 65536, 70000]) {
      const text = unit.repeat(count);
      assert.equal(roundTrip(text), text);
      assert.equal(roundTrip(`x${text}y`), `x${text}y`);
      if (count < 100) assert.deepEqual(roundTrip({ [text]: text }), { [text]: text });
    }
  }
});

test("encodeValue puts big byte strings and texts into chunks of their own", () => {
  const big = Buffer.alloc(100_000, 7);
  assert.deepEqual(
    encodeValue([1, big, "x".repeat(10_000), 2]).map((chunk) => chunk.length),
    [2 + 5, 100_000, 3, 10_000, 1],
  );
});

test("encodeValue copies, so the value may change afterwards", () => {
  for (const size of [10, 100_000]) {
    const bytes = new Uint8Array(size);
    const chunks = encodeValue([bytes]);
    bytes.fill(1);
    encodeValue(bytes);
    assert.deepEqual(decodeValue(Buffer.concat(chunks)), [new Uint8Array(size)]);
  }
});

test("encodeValue writes more small items than its scratch memory holds", () => {
  const value = Array.from({ length: 50_000 }, (_, i) => ({ id: i, name: `item ${i}`, tags: ["a", i % 7] }));
  assert.deepEqual(roundTrip(value), value);
});

test("encodeValue can be used by a getter that it reads", () => {
  const inner = encode({ b: [1, 2, 3] });
  const value = {
    a: "before",
    get b() {
      return encode({ b: [1, 2, 3] });
    },
    c: "after",
  };
  assert.deepEqual(roundTrip(value), { a: "before", b: inner, c: "after" });
});

test("encodeValue takes views with an offset", () => {
  const memory = new Uint8Array([9, 1, 0, 2, 0, 9]).buffer;
  assert.deepEqual(roundTrip(new Uint8Array(memory, 1, 4)), new Uint8Array([1, 0, 2, 0]));
  assert.deepEqual(roundTrip(new Uint16Array(memory, 2, 1)), new Uint16Array([512]));
  assert.deepEqual(roundTrip(Buffer.from(memory, 1, 2)), Buffer.from([1, 0]));
});

test("encodeValue takes values of another realm", () => {
  const value = runInNewContext(
    `({ a: [1, { b: 2 }], m: new Map([[1, 2]]), s: new Set([1]), d: new Date(5), u: new Uint8Array(2), e: new TypeError("t") })`,
  );
  const copy = roundTrip(value) as { e: Error };
  assert.ok(copy.e instanceof TypeError);
  assert.equal(copy.e.message, "t");
  assert.deepEqual(
    { ...copy, e: 0 },
    { a: [1, { b: 2 }], m: new Map([[1, 2]]), s: new Set([1]), d: new Date(5), u: new Uint8Array(2), e: 0 },
  );
});

test("encodeValue sends holes as undefined and objects without prototype as plain, and ignores what is not enumerable", () => {
  // biome-ignore lint/suspicious/noSparseArray: what the test is about.
  assert.deepEqual(roundTrip([1, , 3]), [1, undefined, 3]);
  assert.deepEqual(roundTrip(Object.assign(Object.create(null), { a: 1 })), { a: 1 });
  assert.deepEqual(roundTrip(Object.defineProperty({ a: 1 }, "b", { value: 2 })), { a: 1 });
  assert.deepEqual(roundTrip(Object.defineProperty({ a: 1 }, Symbol.iterator, { value: 2 })), { a: 1 });
});

test("encodeValue sends a value that occurs twice twice", () => {
  const shared = { a: 1 };
  assert.deepEqual(roundTrip([shared, shared, [shared]]), [{ a: 1 }, { a: 1 }, [{ a: 1 }]]);
});

test("encodeValue is not confused by a map or set that a getter changes", () => {
  const map = new Map<unknown, unknown>();
  map.set("a", { get x() { return map.set("c", 1).size; } }).set("b", 2); // biome-ignore format: one line
  assert.deepEqual(roundTrip([map, 1]), [new Map<unknown, unknown>([["a", { x: 3 }], ["b", 2]]), 1]); // biome-ignore format: one line
});

test("encodeValue names the path to a value that it refuses", () => {
  function fn() {}
  const cure =
    "function fn is not serialisable; export it and run it there by context.call() or ref(), or pass a Sender for what it would be called with";
  refuses(fn, `value: ${cure}`);
  refuses({ users: [1, 2, 3, { fn }] }, `value.users[3].fn: ${cure}`);
  refuses({ "odd key": { 1: fn } }, `value["odd key"]["1"]: ${cure}`);
  refuses({ a: new Map([["k", [fn]]]) }, `value.a.k[0]: ${cure}`);
  refuses({ a: new Map([[{}, fn]]) }, `value.a[0]: ${cure}`);
  refuses([new Set([1, fn])], `value[0][1]: ${cure}`);
  refuses([[[1]], { [Symbol("s")]: 1 }], "value[1]: the key Symbol(s) is not serialisable; use a string");
});

test("encodeValue lets the caller format the path", () => {
  const what: EncodeOptions["what"] = ([index, ...rest]) => formatPath(rest, `argument ${Number(index) + 1}`);
  const reason = "a symbol is not serialisable; pass a string instead";
  refuses([1, { a: [Symbol("s")] }], `argument 2.a[0]: ${reason}`, TypeError, { what });
});

test("encodeValue refuses values that would not arrive unchanged", () => {
  class User {}
  class Users extends Array {}
  class Table extends Map {}
  class Bytes extends Uint8Array {}
  const instance = (name: string) =>
    `value[0]: an instance of class ${name} is not serialisable; pass plain data, or a copy made by cast()`;
  refuses([new User()], instance("User"));
  refuses([new Users()], instance("Users"));
  refuses([new Table()], instance("Table"));
  refuses([new Bytes(1)], instance("Bytes"));
  class Link extends URL {}
  refuses([new Link("http://a")], "value[0]: an instance of class Link is not serialisable; pass its href");
  for (const boxed of [1, "s", true, 1n]) refuses([Object(boxed)], instance(Object(boxed).constructor.name));
  refuses([Promise.resolve(1)], "value[0]: a promise is not serialisable; await it first");
  refuses([JSON.parse('{"__proto__":1}')], "value[0].__proto__: a key of this name is not allowed");
});

test("encodeValue sends a URL as a URL, and refuses one that a receiver would refuse", () => {
  const url = roundTrip([new URL("http://user:pw@a/b?c=d#e")]) as [URL];
  assert.ok(url[0] instanceof URL);
  assert.equal(url[0].href, "http://user:pw@a/b?c=d#e");
  const long = (length: number) => new URL(`http://a/${"x".repeat(length - 9)}`);
  assert.equal((roundTrip(long(8192)) as URL).href.length, 8192);
  refuses(long(8193), "value: an instance of class URL is not serialisable; pass its href");
  assert.throws(() => decodeValue(Buffer.from("d820636e6f70", "hex")), /bad URL/);
  const tooLong = Buffer.concat([Buffer.from("d820792001", "hex"), Buffer.from(long(8193).href)]);
  assert.throws(() => decodeValue(tooLong), /bad URL/);
});

test("encodeValue refuses cycles wherever they close", () => {
  const reason = "a cycle is not serialisable; it is inside itself";
  const object: Record<string, unknown> = { a: {} };
  object.a = { b: [object] };
  refuses(object, `value.a.b[0]: ${reason}`);
  const map = new Map();
  map.set("self", map);
  refuses([map], `value[0].self: ${reason}`);
  const key = new Map();
  key.set(key, 1);
  refuses(key, `value[0]: ${reason}`);
  const set = new Set();
  set.add([set]);
  refuses(set, `value[0][0]: ${reason}`);
});

test("encodeValue reports what a getter or a proxy threw, with the path and the cause", () => {
  const boom = new Error("boom");
  const thrower = () => {
    throw boom;
  };
  const check = (value: unknown, path: string) =>
    assert.throws(() => encodeValue(value), {
      name: "TypeError",
      message: `Cannot send ${path}: reading it failed: boom`,
      cause: boom,
    });
  check({ a: { get b() { return thrower(); } } }, "value.a.b"); // biome-ignore format: one line
  check([new Proxy({}, { ownKeys: thrower })], "value[0]");
  check([new Proxy({}, { getPrototypeOf: thrower })], "value[0]");
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assert.throws(() => encodeValue([proxy]), /^TypeError: Cannot send value\[0\]: reading it failed/);
});

test("encodeValue ends on a proxy with an endless prototype chain", () => {
  const endless: object = new Proxy({}, { getPrototypeOf: () => endless });
  assert.throws(() => encodeValue(endless), TypeError);
});

test("encodeValue works after a refusal", () => {
  refuses({ a: Symbol("s") }, "value.a: a symbol is not serialisable; pass a string instead");
  assert.equal(encode([1]).toString("hex"), "8101");
});

test("encodeValue enforces maxMessageBytes to the byte", () => {
  const message = (max: number) => `value: the message would be larger than ${max} bytes`;
  assert.equal(encode("x".repeat(98), limits({ maxMessageBytes: 100 })).length, 100);
  refuses("x".repeat(99), message(100), RangeError, limits({ maxMessageBytes: 100 }));
  const max = { maxMessageBytes: 20_003 };
  assert.equal(encode(Buffer.alloc(20_000), limits(max)).length, 20_003);
  refuses(Buffer.alloc(20_001), message(20_003), RangeError, limits(max));
});

test("encodeValue enforces maxItems, and counts heavy items more", () => {
  const message = "the message would hold more than 8 items";
  const max = limits({ maxItems: 8 });
  encode([1, 2, 3, 4, 5, 6, 7, 8], max);
  refuses([1, 2, 3, 4, 5, 6, 7, 8, 9], `value: ${message}`, RangeError, max);
  encode({ a: { b: { c: { d: 1 } } } }, max);
  refuses({ a: { b: { c: { d: [1] } } } }, `value.a.b.c.d: ${message}`, RangeError, max);
  encode([new Date(0), Buffer.alloc(1)], max);
  refuses([1, new Date(0), Buffer.alloc(1)], `value[2]: ${message}`, RangeError, max);
});

test("encodeValue enforces maxDepth", () => {
  const nest = (depth: number) => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  encode(nest(256));
  refuses(nest(257), `value${"[0]".repeat(256)}: it is nested deeper than 256 levels`, RangeError);
  refuses(nest(3), "value[0][0]: it is nested deeper than 2 levels", RangeError, limits({ maxDepth: 2 }));
  // Deeper than the stack: the limit comes first.
  let deep: unknown[] = [];
  for (let i = 0; i < 200_000; i++) deep = [deep];
  assert.throws(() => encodeValue(deep), RangeError);
});

test("encodeValue completes a list whose head is encoded already", () => {
  const head = Buffer.from("82617a", "hex");
  assert.equal(encode({ a: [1] }, { head }).toString("hex"), "82617aa161618101");
  assert.deepEqual(decodeValue(encode("x".repeat(100_000), { head })), ["z", "x".repeat(100_000)]);
  assert.equal(head.toString("hex"), "82617a");
});

test("encodeValue counts a head towards the limits, so that the receiver takes what was sent", () => {
  const head = Buffer.from("82617a", "hex");
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  const isTaken = (value: unknown, change: object): boolean => {
    try {
      decodeValue(encode(value, { head, what: String, ...limits(change) }), limits(change));
      return true;
    } catch (error) {
      assert.match((error as Error).message, /^Cannot send /);
      return false;
    }
  };
  assert.deepEqual([isTaken(nested(3), { maxDepth: 4 }), isTaken(nested(4), { maxDepth: 4 })], [true, false]);
  assert.equal(isTaken([1, 2, 3], { maxItems: 4 }), false);
  assert.equal(isTaken([1, 2, 3], { maxItems: 6 }), true);
  assert.equal(isTaken("xx", { maxMessageBytes: 5 }), false);
  assert.equal(isTaken("xx", { maxMessageBytes: 6 }), true);
});

test("encodeValue refuses a context with a name that no receiver would take", () => {
  const context = (length: number) =>
    new FakeReference({ kind: "context", contextId: 1, name: "x".repeat(length) });
  encode(context(99));
  refuses([context(100)], "value[0]: the name of the context is too long", RangeError);
});

test("encodeValue keeps Blob and Secret, even empty ones", () => {
  for (const text of ["", "abc", "x".repeat(20_000)]) {
    assert.deepEqual(roundTrip(new Blob(text)), new Blob(text));
    const secret = roundTrip(new Secret(text));
    assert.ok(secret instanceof Secret);
    assert.equal(secret.reveal(), text);
  }
});
