import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue } from "../../../src/wire/cbor/encoder.ts";
import { Blob } from "../../../src/wire/values/blob.ts";
import { cast } from "../../../src/wire/values/cast.ts";
import { Secret } from "../../../src/wire/values/secret.ts";
import { FakeReference } from "../../support/fake-reference.ts";

class User {
  name = "ann";
  born = new Date(5);
  #hidden = 1;
  get age() {
    return this.#hidden;
  }
  toJSON() {
    return "not consulted";
  }
}

test("cast turns instances into plain objects, at any depth", () => {
  const plain = cast({
    users: [new User()],
    byName: new Map([["ann", new User()]]),
    all: new Set([new User()]),
  });
  const ann = { name: "ann", born: new Date(5) };
  assert.deepEqual(plain, { users: [ann], byName: new Map([["ann", ann]]), all: new Set([ann]) });
  assert.deepEqual(decodeValue(Buffer.concat(encodeValue(plain))), plain);
});

test("cast turns boxed primitives into primitives, and subclasses of builtins into builtins", () => {
  class Users extends Array {}
  class Table extends Map<number, number> {}
  class Group extends Set {}
  class Day extends Date {
    extra = 1;
  }
  class Pixels extends Uint16Array {}
  assert.deepEqual(cast([Object(1), Object("s"), Object(true), Object(5n)]), [1, "s", true, 5n]);
  const value = [Users.of(1, 2), new Table([[1, 2]]), new Group([1]), new Day(5), new Pixels([7])];
  assert.deepEqual(cast(value), [[1, 2], new Map([[1, 2]]), new Set([1]), new Date(5), new Uint16Array([7])]);
  encodeValue(cast(value));
});

test("cast copies mutable values and passes others unchanged", () => {
  const kept = [
    new Secret("s"),
    new Error("e"),
    new FakeReference({ kind: "sender", contextId: 1, handle: 2 }),
  ];
  assert.deepEqual(cast(kept), kept);
  for (const [i, value] of (cast(kept) as unknown[]).entries()) assert.equal(value, kept[i]);
  for (const value of [
    [1],
    { a: 1 },
    new Map(),
    new Set(),
    new Date(1),
    Buffer.from("b"),
    new Blob("b"),
    new Float64Array([1.5]),
    new URL("http://a/b"),
  ]) {
    const copy = cast(value);
    assert.notEqual(copy, value);
    assert.deepEqual(copy, value);
    assert.equal(String(copy), String(value));
  }
  for (const value of [undefined, null, true, 0, -0, "s", 5n]) assert.ok(Object.is(cast(value), value));
});

test("cast turns a Stats into the data that it travels as", () => {
  const [stats] = cast([statSync("/")]) as [{ isDirectory: boolean; mtime: Date }];
  assert.deepEqual([stats.isDirectory, stats.mtime], [true, statSync("/").mtime]);
});

test("cast copies views with an offset", () => {
  const memory = new Float64Array([1, 2, 3]).buffer;
  assert.deepEqual(cast(new Float64Array(memory, 8, 1)), new Float64Array([2]));
  assert.deepEqual(cast(Buffer.from(memory, 3, 2)), Buffer.from(memory.slice(3, 5)));
});

test("cast refuses a value without a plain form, and names the path", () => {
  const refuses = (value: unknown, message: string) =>
    assert.throws(() => cast(value), { name: "TypeError", message: `Cannot cast ${message}` });
  refuses({ a: [function fn() {}] }, "value.a[0]: a function (fn) has no plain form");
  refuses([Symbol("s")], "value[0]: a symbol has no plain form");
  refuses({ a: /x/ }, "value.a: RegExp has no plain form");
  refuses([Promise.resolve()], "value[0]: Promise has no plain form");
  refuses([new ArrayBuffer(1)], "value[0]: ArrayBuffer has no plain form");
  refuses([new DataView(new ArrayBuffer(1))], "value[0]: DataView has no plain form");
  refuses(new Map([["k", { f: new WeakMap() }]]), "value.k.f: WeakMap has no plain form");
  refuses(JSON.parse('{"__proto__":1}'), "value.__proto__: a key of this name is not allowed");
});

test("cast refuses cycles, but not repeated values", () => {
  const shared = { a: 1 };
  assert.deepEqual(cast([shared, shared]), [{ a: 1 }, { a: 1 }]);
  const cycle = { a: [] as unknown[] };
  cycle.a.push(cycle);
  assert.throws(() => cast(cycle), { message: "Cannot cast value.a[0]: it is inside itself" });
});
