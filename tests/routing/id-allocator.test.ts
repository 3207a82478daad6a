import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BLOCK_INTERVAL_MS,
  ID_BLOCK_SIZE,
  IdAllocator,
  MAX_BLOCK_ID,
  MAX_BLOCKS_PER_LINK,
} from "../../src/routing/id-allocator.ts";

test("IdAllocator gives single ids from 1 and remembers their owners until they are given back", () => {
  const ids = new IdAllocator();
  assert.deepEqual([ids.allocate(0), ids.allocate(7)], [1, 2]);
  assert.deepEqual([ids.ownerOf(1), ids.ownerOf(2), ids.ownerOf(3)], [0, 7, undefined]);
  ids.giveBack(2);
  assert.equal(ids.ownerOf(2), undefined);
  assert.equal(ids.allocate(0), 3, "ids are never used again");
});

test("IdAllocator gives blocks [start, end) that overlap nothing", () => {
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

test("IdAllocator gives a link that has used up its blocks another block every minute, for months", () => {
  let now = 5_000_000;
  const ids = new IdAllocator(() => now);
  const ask = () => ids.allocateBlock(9, 9);
  for (let block = 0; block < MAX_BLOCKS_PER_LINK; block++) ask();
  assert.throws(ask, /have had 4000 blocks already, and get one more every 60 s/);
  now += BLOCK_INTERVAL_MS - 1;
  assert.throws(ask, RangeError);
  now += 1;
  assert.equal(ask().length, 2);
  assert.throws(ask, RangeError);
  now += 2.5 * BLOCK_INTERVAL_MS;
  ask();
  ask();
  assert.throws(ask, RangeError);
  // The allowance never grows beyond the initial one.
  now += 10 * MAX_BLOCKS_PER_LINK * BLOCK_INTERVAL_MS;
  for (let block = 0; block < MAX_BLOCKS_PER_LINK; block++) ask();
  assert.throws(ask, RangeError);
});

test("IdAllocator forgets the blocks of contexts that are gone, and of no others", () => {
  const ids = new IdAllocator();
  const starts = [5, 6, 7, 8].map((owner) => ids.allocateBlock(owner, 5)[0]);
  for (const owner of [5, 6, 7]) {
    ids.forget(owner);
    ids.forget(owner);
  }
  assert.deepEqual(
    starts.map((start) => [ids.ownerOf(start), ids.ownerOf(start + ID_BLOCK_SIZE - 1)]),
    [
      [undefined, undefined],
      [undefined, undefined],
      [undefined, undefined],
      [8, 8],
    ],
  );
});

test("IdAllocator keeps ids for the program when contexts have used up all blocks", () => {
  const ids = new IdAllocator(Date.now, MAX_BLOCK_ID - ID_BLOCK_SIZE);
  assert.deepEqual(ids.allocateBlock(5, 5), [MAX_BLOCK_ID - ID_BLOCK_SIZE, MAX_BLOCK_ID]);
  assert.throws(() => ids.allocateBlock(5, 5), /Cannot allocate ids: all have been given out/);
  assert.equal(ids.allocate(0), MAX_BLOCK_ID);
});
