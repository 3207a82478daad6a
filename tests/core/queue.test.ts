import assert from "node:assert/strict";
import { test } from "node:test";
import { Queue } from "../../src/core/queue.ts";

const cpuMs = (): number => process.cpuUsage().user / 1000;

test("Queue returns entries in the order in which they were added", () => {
  const queue = new Queue<number>();
  const taken: (number | undefined)[] = [];
  for (let i = 0; i < 10_000; i++) {
    queue.push(2 * i);
    queue.push(2 * i + 1);
    assert.equal(queue.first, i);
    taken.push(queue.shift());
    assert.equal(queue.length, i + 1);
  }
  while (queue.length > 0) taken.push(queue.shift());
  assert.deepEqual(
    taken,
    Array.from({ length: 20_000 }, (_, i) => i),
  );
  assert.deepEqual([queue.first, queue.shift(), queue.length], [undefined, undefined, 0]);
});

test("Queue takes as fast from a long queue as from a short one", () => {
  const queue = new Queue<object>();
  for (let i = 0; i < 300_000; i++) queue.push({});
  const start = cpuMs();
  while (queue.shift() !== undefined);
  // This takes some tens of milliseconds. With the shift() of an array, it took a minute.
  assert.ok(cpuMs() - start < 5000, `${cpuMs() - start} ms`);
});
