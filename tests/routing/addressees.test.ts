import assert from "node:assert/strict";
import { test } from "node:test";
import { Addressees, MAX_ADDRESSEES, MAX_ADDRESSEES_PER_CHILD } from "../../src/routing/addressees.ts";

test("Addressees returns the children that have sent to a context, once", () => {
  const addressees = new Addressees();
  for (const childId of [1, 2, 1]) addressees.note(50, childId);
  addressees.note(51, 2);
  assert.deepEqual([...addressees.takeSendersTo(50)], [1, 2]);
  assert.deepEqual([...addressees.takeSendersTo(50)], []);
  assert.deepEqual(addressees.contextIds, [51]);
  addressees.forgetChild(2);
  assert.deepEqual([addressees.contextIds, [...addressees.takeSendersTo(51)]], [[], []]);
});

test("Addressees tells the last children of every end if all children together fill the table", () => {
  const addressees = new Addressees();
  const children = MAX_ADDRESSEES / MAX_ADDRESSEES_PER_CHILD;
  for (let childId = 1; childId <= children; childId++) {
    for (let at = 0; at < MAX_ADDRESSEES_PER_CHILD; at++) addressees.note(1000 + at, childId);
  }
  assert.deepEqual([...addressees.takeSendersTo(5)], []);
  addressees.note(1000, 99);
  assert.deepEqual([...addressees.takeSendersTo(5)], [99]);
  // Nothing is lost of the children that were kept.
  assert.deepEqual(
    [...addressees.takeSendersTo(1000)],
    [...Array(children).keys()].map((at) => at + 1).concat(99),
  );
  // When there is room again, children are kept again.
  addressees.forgetChild(1);
  addressees.forgetChild(99);
  addressees.note(7, 99);
  assert.deepEqual([[...addressees.takeSendersTo(7)], [...addressees.takeSendersTo(5)]], [[99], []]);
});
