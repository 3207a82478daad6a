/** What a hostile child, or what is taken for one, may not do. `npm run fuzz` is the same for as long as wanted. */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { checkLeaks } from "../support/leak-check.ts";
import { type AttackReport, attack, CHECKS } from "./attack.ts";
import { tryInputs } from "./inputs.ts";
import { Random } from "./random.ts";
import { tryTools } from "./tools.ts";

checkLeaks({ ignoreCommand: /esbuild/, withinMs: 5_000 });

const SEED = Number(process.env.MITOGEN_FUZZ_SEED ?? 20_240_229);

for (const [title, behindHop, frames] of [
  ["the program", false, 12_000],
  ["a hop", true, 6_000],
] as const) {
  describe(`${frames} hostile frames to ${title}, seed ${SEED}`, () => {
    let report: AttackReport;
    before(
      async () => {
        report = await attack({ seed: SEED, frames, behindHop });
      },
      { timeout: 300_000 },
    );
    it("were sent", () => {
      assert.ok(report.frames > frames / 2, `${report.frames} frames were sent`);
    });
    for (const check of CHECKS) {
      it(`break nothing: ${check}`, () => {
        assert.deepEqual(report.broken.get(check) ?? [], []);
      });
    }
  });
}

it(`2,000 times greetings, prompts and frames of nobody's making, seed ${SEED}, are noise or refused`, () => {
  const random = new Random(SEED);
  for (let input = 0; input < 2_000; input++) tryInputs(random);
});

it(`12 tools that ask anything, seed ${SEED}, end the connect, and learn the password once at most`, async () => {
  await tryTools(new Random(SEED), 12);
});
