import assert from "node:assert/strict";
import { it } from "node:test";
import * as v8 from "node:v8";
import * as vm from "node:vm";
import { Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { checkLeaks, descendants, fdCount, settledFdCount } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

v8.setFlagsFromString("--expose-gc");
const gc = vm.runInNewContext("gc") as () => void;

const MIB = 1024 * 1024;
const isCi = process.env.CI === "true";
const COUNT = Number(process.env.MITOGEN_SOAK_CONTEXTS ?? (isCi ? 1000 : 50));
/** Contexts of one lane are one after the other; several lanes keep both cores busy. */
const LANES = 4;

it(`${COUNT} contexts one after the other leave memory, descriptors and processes where they began`, {
  timeout: 840_000,
}, async () => {
  await using router = new Router();
  const cycle = async (): Promise<void> => {
    const context = await router.local();
    assert.equal(await context.call(remote.add, 1, 1), 2);
    await context.shutdown();
  };
  // The first ones warm caches that are meant to stay.
  await inLanes(COUNT / 10, cycle);
  const processes = descendants(process.pid).length;
  const fds = fdCount();
  const memory = heapUsed();
  await inLanes(COUNT, cycle);
  assert.equal(descendants(process.pid).length, processes);
  const after = await settledFdCount(fds);
  assert.ok(Math.abs(after - fds) <= 2, `descriptors ${fds} → ${after}`);
  // What one context costs the master must not stay: 4 KiB each would be seen.
  const grown = heapUsed() - memory;
  assert.ok(grown < 4 * MIB, `heap grew by ${(grown / MIB).toFixed(1)} MiB`);
});

it("buffers, many calls and long lines leave memory where it began", async () => {
  await using router = new Router();
  const context = await router.local();
  const bytes = Buffer.alloc(16 * MIB);
  const work = async (): Promise<void> => {
    await context.call(remote.echo, bytes);
    await Promise.all(Array.from({ length: 10_000 }, (_, index) => context.call(remote.add, index, 1)));
    await context.call(remote.print, "x".repeat(MIB));
  };
  await work();
  await work();
  const here = memoryUsed();
  const there = await context.call(remote.memory);
  for (let round = 0; round < 5; round++) await work();
  assert.ok(memoryUsed() - here < 48 * MIB, `here: ${here} → ${memoryUsed()}`);
  const after = await context.call(remote.memory);
  assert.ok(after - there < 128 * MIB, `there: ${there} → ${after}`);
});

async function inLanes(count: number, cycle: () => Promise<void>): Promise<void> {
  const lane = async (): Promise<void> => {
    for (let round = 0; round < count / LANES; round++) await cycle();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Heap and buffers. */
function memoryUsed(): number {
  collectGarbage();
  const { heapUsed: heap, external, arrayBuffers } = process.memoryUsage();
  return heap + external + arrayBuffers;
}

function collectGarbage(): void {
  gc();
  gc();
}
