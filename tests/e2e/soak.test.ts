/** The short form of `npm run soak`, and work that moves much at once. */
import assert from "node:assert/strict";
import { it } from "node:test";
import * as v8 from "node:v8";
import * as vm from "node:vm";
import { Router } from "../../src/index.ts";
import * as remote from "../fixtures/remote/functions.ts";
import { KINDS } from "../soak/kinds.ts";
import { soak } from "../soak/soak.ts";
import { isFull, takesLong } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

v8.setFlagsFromString("--expose-gc");
const gc = vm.runInNewContext("gc") as () => void;

const MIB = 1024 * 1024;
const CONNECTS = Number(process.env.MITOGEN_SOAK_CONTEXTS ?? (isFull ? 1000 : 5));
const ROUNDS = isFull ? 3 : 1;
/** How many times less of each kind is done than in the long form. */
const SHARE = isFull ? 200 : 1000;

/** The kind of a shorter run: it uses most parts of the library. */
const SOME = "connects";

for (const kind of KINDS.filter(({ isLongOnly }) => isLongOnly !== true)) {
  const count = kind.name === "connects" ? CONNECTS : Math.max(kind.count / SHARE, isFull ? 60 : 5);
  it(`${count} ${kind.name} do not increase heap, descriptors, timers and listeners`, {
    timeout: 840_000,
    skip: kind.name !== SOME && takesLong,
  }, async () => {
    const { slopes } = await soak(kind, count, { samples: isFull ? 6 : 5 });
    assert.ok(slopes.length > 5);
    assert.deepEqual(
      slopes.filter(({ isFlat }) => !isFlat),
      [],
    );
  });
}

it("buffers, many calls and long lines do not keep memory", { skip: takesLong }, async () => {
  await using router = new Router();
  const context = await router.local();
  const bytes = Buffer.alloc(16 * MIB);
  const work = async (): Promise<void> => {
    await context.call(remote.echo, bytes);
    await Promise.all(
      Array.from({ length: isFull ? 10_000 : 1_000 }, (_, index) => context.call(remote.add, index, 1)),
    );
    await context.call(remote.print, "x".repeat(MIB));
  };
  for (let round = 0; round < ROUNDS; round++) await work();
  const here = memoryUsed();
  const there = await context.call(remote.memory);
  for (let round = 0; round < ROUNDS; round++) await work();
  assert.ok(memoryUsed() - here < 48 * MIB, `here: ${here} → ${memoryUsed()}`);
  const after = await context.call(remote.memory);
  assert.ok(after - there < 128 * MIB, `there: ${there} → ${after}`);
});

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
