import assert from "node:assert/strict";
import { test } from "node:test";
import { ID_BLOCK_SIZE, IdAllocator } from "../../src/core/id-allocator.ts";

test("IdAllocator gives single ids from 1 and remembers whom it gave them to until they are released", () => {
  const ids = new IdAllocator();
  assert.deepEqual([ids.allocate(0), ids.allocate(7)], [1, 2]);
  assert.deepEqual([ids.ownerOf(1), ids.ownerOf(2), ids.ownerOf(3)], [0, 7, undefined]);
  ids.release(2);
  assert.equal(ids.ownerOf(2), undefined);
  assert.equal(ids.allocate(0), 3, "ids are never used again");
});

test("IdAllocator gives blocks [start, end) that overlap nothing (WIRE-08)", () => {
  const ids = new IdAllocator();
  assert.equal(ids.allocate(0), 1);
  assert.deepEqual(ids.allocateBlock(5, 5), [2, 2 + ID_BLOCK_SIZE]);
  assert.equal(ids.allocate(0), 2 + ID_BLOCK_SIZE);
  assert.deepEqual(
    [ids.ownerOf(2), ids.ownerOf(1 + ID_BLOCK_SIZE), ids.ownerOf(3 + ID_BLOCK_SIZE)],
    [5, 5, undefined],
  );
});

test("IdAllocator refuses contexts behind one link that ask for block after block", () => {
  const ids = new IdAllocator();
  assert.throws(() => {
    for (let block = 0; block < 100_000; block++) ids.allocateBlock(9 + block, 9);
  }, RangeError);
  assert.equal(ids.allocateBlock(4, 4).length, 2, "others still get theirs");
});
