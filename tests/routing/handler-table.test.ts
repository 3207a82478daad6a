import assert from "node:assert/strict";
import { test } from "node:test";
import { type FrameHandler, HandlerTable } from "../../src/routing/handler-table.ts";

const FIRST = 1000;
/** More handlers than there are slots. */
const MANY = 20_000;

const handler = (respondentId?: number): FrameHandler => ({ onFrame: () => undefined, respondentId });

function filled(count: number, respondentId?: number): { table: HandlerTable; handlers: FrameHandler[] } {
  const table = new HandlerTable(FIRST);
  const handlers = Array.from({ length: count }, () => handler(respondentId));
  for (const [turn, each] of handlers.entries()) table.add(each, FIRST + turn);
  return { table, handlers };
}

test("HandlerTable finds each of very many handlers, and nothing at other handles", () => {
  const { table, handlers } = filled(MANY);
  assert.equal(table.size, MANY);
  assert.ok(handlers.every((each, turn) => table.get(FIRST + turn) === each));
  for (const handle of [0, FIRST - 1, FIRST + MANY, 0x80000000, 0xffffffff, -1]) {
    assert.equal(table.get(handle), undefined, `handle ${handle}`);
  }
});

test("HandlerTable removes only the given handler, wherever it was kept", () => {
  const { table, handlers } = filled(MANY);
  const kept = handlers.filter((_, turn) => turn % 3 === 0);
  for (const each of handlers) if (!kept.includes(each)) table.remove(each);
  assert.equal(table.size, kept.length);
  for (const [turn, each] of handlers.entries()) {
    assert.equal(table.get(FIRST + turn), turn % 3 === 0 ? each : undefined);
  }
  assert.deepEqual(new Set(table.all()), new Set(kept));
});

test("HandlerTable keeps a handler that waits for long apart from those whose handles end alike", () => {
  const table = new HandlerTable(FIRST);
  const old = handler(1);
  table.add(old, FIRST);
  for (let turn = 1; turn < MANY; turn++) {
    const each = handler(1);
    table.add(each, FIRST + turn);
    assert.equal(table.get(FIRST + turn), each);
    assert.equal(table.get(FIRST), old);
    table.remove(each);
    assert.equal(table.get(FIRST + turn), undefined);
  }
  assert.deepEqual([table.size, table.waitingFor(1)], [1, [old]]);
});

test("HandlerTable gives out the handles of each range in turn, and neither those that are taken nor those just freed", () => {
  const table = new HandlerTable(FIRST);
  const taken = handler();
  table.add(taken, FIRST + 1);
  const own = table.freeHandle();
  const next = table.freeHandle();
  assert.deepEqual([own, next, table.freeHandle(2 * FIRST)], [FIRST, FIRST + 2, 2 * FIRST]);
  table.remove(taken);
  assert.deepEqual([table.freeHandle(), table.freeHandle(2 * FIRST)], [FIRST + 3, 2 * FIRST + 1]);
});

test("HandlerTable takes any handle: chosen, random, or of another range", () => {
  const table = new HandlerTable(0x38000000);
  const handles = [1, 101, 2000, 0x37ffffff, 0x38000000, 0x38000001, 0x3fffffff, 0x40000000, 0xffffffff];
  const handlers = handles.map((handle) => {
    const each = handler();
    table.add(each, handle);
    return each;
  });
  assert.deepEqual(
    handles.map((handle) => table.get(handle)),
    handlers,
  );
});

test("HandlerTable knows which handlers wait for a context, oldest first, and when the last has gone", () => {
  const table = new HandlerTable(FIRST);
  const [a, b, c, other, nobodys] = [handler(7), handler(7), handler(7), handler(8), handler()];
  for (const [turn, each] of [a, other, b, nobodys, c].entries()) table.add(each, FIRST + turn);
  assert.deepEqual([table.waitingFor(7), table.countFor(7)], [[a, b, c], 3]);
  assert.deepEqual([table.waitingFor(8), table.waitingFor(9), table.countFor(9)], [[other], [], 0]);
  assert.equal(table.remove(b), undefined);
  assert.deepEqual(table.waitingFor(7), [a, c]);
  assert.equal(table.remove(nobodys), undefined);
  assert.equal(table.remove(a), undefined);
  assert.equal(table.remove(c), 7);
  assert.deepEqual([table.waitingFor(7), table.countFor(7)], [[], 0]);
  assert.deepEqual([...table.respondentIds], [7, 8]);
  table.forget(7);
  assert.deepEqual([...table.respondentIds], [8]);
});

test("HandlerTable keeps no links to removed handlers, because V8 would keep all later handlers alive", () => {
  const { table, handlers } = filled(3, 7);
  for (const each of handlers) table.remove(each);
  for (const { next, previous } of handlers) assert.deepEqual([next, previous], [undefined, undefined]);
});
