import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import fs from "node:fs";
import { Readable } from "node:stream";
import { test } from "node:test";
import { decodeValue } from "../../../src/wire/cbor/decoder.ts";
import { encodeValue, setPlainForm } from "../../../src/wire/cbor/encoder.ts";
import { plainForm } from "../../../src/wire/values/plain-form.ts";

setPlainForm(plainForm);

const arrived = (value: unknown) => decodeValue(Buffer.concat(encodeValue(value))) as Record<string, unknown>;

const FOLDER = {
  isFile: false,
  isDirectory: true,
  isSymbolicLink: false,
  isBlockDevice: false,
  isCharacterDevice: false,
  isFIFO: false,
  isSocket: false,
};

test("A Stats travels as its numbers, its dates and the results of its methods", () => {
  const stats = fs.statSync("/");
  const { atime, mtime, ctime, birthtime } = stats;
  // Node 26 keeps parts of the times under symbols, which do not travel.
  const numbers = Object.fromEntries(Object.entries(stats));
  assert.deepEqual(arrived({ s: stats })["s"], { ...numbers, atime, mtime, ctime, birthtime, ...FOLDER });
});

test("A BigIntStats keeps its bigints, also those of its times", () => {
  const stats = fs.statSync("/", { bigint: true });
  const { mtimeNs, mtime, ino, isDirectory } = arrived(stats);
  assert.deepEqual([mtimeNs, mtime, ino, isDirectory], [stats.mtimeNs, stats.mtime, stats.ino, true]);
});

test("A Dirent travels as its name, its folder and the results of its methods", () => {
  const entries = fs.readdirSync("/", { withFileTypes: true });
  const there = arrived(entries) as unknown as Record<string, unknown>[];
  assert.equal(there.length, entries.length);
  const proc = there.find(({ name }) => name === "proc");
  assert.deepEqual(proc, { name: "proc", parentPath: "/", ...FOLDER });
});

test("The result of statfs, and process.env, travel as plain objects", () => {
  assert.equal(arrived(fs.statfsSync("/"))["bsize"], fs.statfsSync("/").bsize);
  assert.deepEqual(arrived(process.env), { ...process.env });
});

test("Errors of Node travel with their name, code and properties", async () => {
  const { reason } = AbortSignal.abort();
  const missing = await fs.promises.readFile("/nonexistent").catch((error) => error);
  const assertion = new assert.AssertionError({ actual: { a: 1 }, expected: [2], operator: "deepEqual" });
  const { name, message, code } = arrived(reason);
  assert.deepEqual([name, message, code], [reason.name, reason.message, reason.code]);
  assert.deepEqual({ ...arrived(missing) }, { ...missing });
  assert.deepEqual({ ...arrived(assertion) }, { ...assertion });
  assert.equal(arrived(assertion)["name"], "AssertionError");
  const withUrl = arrived(
    Object.assign(new Error("x"), { url: new URL("http://a/b"), stats: fs.statSync("/") }),
  );
  assert.equal(String(withUrl["url"]), "http://a/b");
  assert.equal((withUrl["stats"] as { isDirectory: boolean }).isDirectory, true);
});

test("A value that cannot travel is refused with the cure", () => {
  const point = new (class Point {})();
  const nameless = new (class {})();
  const cases: [value: unknown, what: string, cure: RegExp][] = [
    [
      function named() {},
      "function named",
      /export it and run it there by context\.call\(\) or ref\(\), or pass a Sender/,
    ],
    [
      (
        () => () =>
          1
      )(),
      "a function without a name",
      /export it/,
    ],
    [class Foo {}, "class Foo", /export it, and use it in a function that runs there/],
    [Symbol("s"), "a symbol", /pass a string instead/],
    [Promise.resolve(1), "a promise", /await it first/],
    [(function* () {})(), "a generator", /context\.stream\(\).*or pass an array/],
    [(async function* () {})(), "a generator", /context\.stream\(\)/],
    [new Map().values(), "an iterator", /pass Array\.from\(it\)/],
    [
      AbortSignal.abort(),
      "an instance of class AbortSignal",
      /context\.with\(\{ signal \}\).*currentCall\(\)\.signal/,
    ],
    [new AbortController(), "an instance of class AbortController", /context\.with\(\{ signal \}\)/],
    [/x/, "an instance of class RegExp", /pass its source and flags/],
    [new ArrayBuffer(1), "an instance of class ArrayBuffer", /pass new Uint8Array\(it\)/],
    [new URLSearchParams(), "an instance of class URLSearchParams", /pass String\(it\)/],
    [new URL(`http://a/${"x".repeat(9000)}`), "an instance of class URL", /pass its href/],
    [new Headers(), "an instance of class Headers", /pass Object\.fromEntries\(it\)/],
    [new Response("x"), "an instance of class Response", /await it\.text\(\)/],
    [Readable.from([1]), "an instance of class Readable", /read it by context\.stream\(\)/],
    [createHash("sha1"), "an instance of class Hash", /use it where it is|read it by context\.stream/],
    [
      new EventEmitter(),
      "an instance of class EventEmitter",
      /use it where it is, in a function that returns data/,
    ],
    [point, "an instance of class Point", /pass plain data, or a copy made by cast\(\)/],
    [nameless, "an instance of a class without a name", /pass plain data, or a copy made by cast\(\)/],
    [Object.create({ constructor: undefined }), "an instance of a class without a name", /cast\(\)/],
  ];
  for (const [value, what, cure] of cases) {
    assert.throws(
      () => encodeValue([value]),
      (error: Error) => {
        const start = `Cannot send value[0]: ${what} is not serialisable; `;
        assert.equal(error.name, "TypeError");
        assert.equal(error.message.slice(0, start.length), start);
        assert.match(error.message.slice(start.length), cure);
        return true;
      },
    );
  }
});

test("A value that lies about itself, or throws, is refused like any other", () => {
  const liar = new (class {
    get isFile(): never {
      throw new Error("boom");
    }
  })();
  assert.throws(() => encodeValue(liar), /^TypeError: Cannot send value: reading it failed: boom$/);
  const named = new (class {
    get [Symbol.toStringTag]() {
      return "constructor";
    }
  })();
  assert.throws(() => encodeValue(named), /a class without a name is not serialisable; pass plain data/);
});
