import assert from "node:assert/strict";
import { test } from "node:test";
import { format, inspect } from "node:util";
import { Blob } from "../../../src/wire/values/blob.ts";

test("Blob prints as its size only", () => {
  const blob = new Blob(new Uint8Array(1024).fill(65));
  assert.equal(inspect(blob), "Blob(1024 bytes)");
  assert.equal(inspect({ a: [blob] }), "{ a: [ Blob(1024 bytes) ] }");
  assert.equal(`${blob}`, "Blob(1024 bytes)");
  assert.equal(format("%s %O", blob, blob), "Blob(1024 bytes) Blob(1024 bytes)");
});

test("Blob is made of text, bytes, numbers or a length", () => {
  assert.deepEqual([...new Blob("é")], [0xc3, 0xa9]);
  assert.deepEqual([...new Blob(Buffer.from([1, 2]))], [1, 2]);
  assert.deepEqual([...new Blob([1, 2])], [1, 2]);
  assert.equal(new Blob(3).length, 3);
  assert.equal(new Blob("").length, 0);
});

test("Blob copies bytes and shares an ArrayBuffer", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const copy = new Blob(bytes);
  const view = new Blob(bytes.buffer, 1, 2);
  bytes[1] = 9;
  assert.deepEqual([...copy], [1, 2, 3]);
  assert.deepEqual([...view], [9, 3]);
});

test("Blob is a Uint8Array whose pieces are Blobs", () => {
  const blob = new Blob([1, 2, 3]);
  assert.ok(blob instanceof Uint8Array);
  assert.deepEqual(blob.subarray(1), new Blob([2, 3]));
  assert.deepEqual(blob.slice(0, 1), new Blob([1]));
});
