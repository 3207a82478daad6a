import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HopRuntimes } from "../../../../src/connection/runtime/targets/hop-part.ts";

describe("HopRuntimes", () => {
  it("keeps no place for a runtime that does not exist", async () => {
    const there = Buffer.from("a pack");
    const runtimes = new HopRuntimes(
      async (_, [, hash]) => {
        if (hash !== "there") throw new Error("no such runtime");
        return there;
      },
      () => 0,
    );
    for (let n = 0; n < 10; n++) {
      await assert.rejects(runtimes.read({ hash: `none ${n}`, packedBytes: 6 }, 0), /no such runtime/);
    }
    assert.equal(await runtimes.read({ hash: "there", packedBytes: 6 }, 0), there);
    // Parts that overlap would take more memory than there are bytes.
    for (const offset of [1, -1, -262_144])
      await assert.rejects(runtimes.read({ hash: "there", packedBytes: 6 }, offset), /no such part/);
  });

  it("keeps four packs, and gives up the least recently used one, unless it is on its way", async () => {
    const asked: string[] = [];
    const held: (() => void)[] = [];
    const runtimes = new HopRuntimes(
      async (_, [, hash]) => {
        asked.push(hash as string);
        if (String(hash).startsWith("slow")) await new Promise<void>((resolve) => held.push(resolve));
        return Buffer.from(hash as string);
      },
      () => 0,
    );
    const read = async (hash: string): Promise<string> =>
      String(await runtimes.read({ hash, packedBytes: 6 }, 0));
    for (const hash of ["a", "b", "c", "d", "a", "e"]) assert.equal(await read(hash), hash);
    assert.deepEqual(asked.splice(0), ["a", "b", "c", "d", "e"]);
    // "b" had to go, because it was the least recently used.
    assert.equal(await read("a"), "a");
    assert.deepEqual(asked.splice(0), []);
    assert.equal(await read("b"), "b");
    assert.deepEqual(asked.splice(0), ["b"]);

    const slow = ["slow 1", "slow 2", "slow 3", "slow 4"].map(read);
    await assert.rejects(read("f"), /too many are on their way at once/);
    assert.equal(asked.includes("f"), false);
    for (const release of held) release();
    assert.deepEqual(await Promise.all(slow), ["slow 1", "slow 2", "slow 3", "slow 4"]);
    assert.equal(await read("f"), "f");
  });
});
