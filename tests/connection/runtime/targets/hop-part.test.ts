import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HopRuntimes } from "../../../../src/connection/runtime/targets/hop-part.ts";

describe("HopRuntimes", () => {
  it("keeps no place for a runtime that there is not, whoever asks for it", async () => {
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
  });
});
