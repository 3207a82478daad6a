/**
 * The order in which calls begin, and in which their output and messages arrive. `npm run order` does the same for as
 * long as wanted, under load.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { isFull, isQuick } from "../support/extent.ts";
import { nodes } from "../support/lab.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { PLACES } from "./places.ts";
import { type Played, playRounds, sumOf } from "./rounds.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const SEED = Number(process.env.MITOGEN_ORDER_SEED ?? 20_247_074);

const targets: [string, string, number][] = [["this Node", process.execPath, isFull ? 24 : isQuick ? 4 : 6]];
if (nodes["12"] !== undefined) targets.push(["Node 12", nodes["12"], 12]);

for (const [version, nodePath, rounds] of targets) {
  describe(`${rounds} rounds of calls and messages to ${version}, seed ${SEED}`, { timeout: 600_000 }, () => {
    const played: Played[] = [];
    before(async () => {
      await playRounds({
        seed: SEED,
        rounds,
        nodePath,
        hasTopLevelAwait: version !== "Node 12",
        onPlayed: (each) => played.push(each),
      });
    });

    it("are played, and contain enough of everything", () => {
      assert.equal(played.length, rounds);
      const counts = sumOf(played.map((each) => each.counts));
      // A promise is tested only if its count is not 0.
      for (const [what, count] of Object.entries(counts)) assert.ok(count > rounds / 2, `${what}: ${count}`);
    });

    for (const { name } of PLACES) {
      it(`in ${name}: calls begin in the order made, and nothing is lost, doubled or late`, () => {
        const broken = played.filter((each) => each.place === name && each.broken.length > 0);
        assert.deepEqual(broken, []);
      });
    }
  });
}
