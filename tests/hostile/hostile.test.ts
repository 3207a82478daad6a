/**
 * What a hostile child, or a hostile tool, may not do. `npm run fuzz` does the same for as long as
 * wanted.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Encoding } from "../../src/wire/frame.ts";
import { Handle } from "../../src/wire/handles.ts";
import { isFull, isQuick } from "../support/extent.ts";
import { checkLeaks } from "../support/leak-check.ts";
import { Random } from "../support/random.ts";
import { attack } from "./attack.ts";
import { HostileFrames } from "./frames.ts";
import { tryInputs } from "./inputs.ts";
import { tryTools } from "./tools.ts";
import { type AttackReport, CHECKS } from "./watch.ts";

checkLeaks({ ignoreCommand: /esbuild/ });

const SEED = Number(process.env.MITOGEN_FUZZ_SEED ?? 20_240_229);

it("hostile frames are sent to every handle, as every kind of frame", () => {
  const world = { others: [0, 1, 2], trap: "/trap", secret: "/secret", module: "file:///m.js" };
  const source = new HostileFrames(new Random(SEED), world, 3);
  const frames = Array.from({ length: isFull ? 12_000 : 4_000 }, () => source.next());
  const seen = (offset: number): Set<number> => new Set(frames.map((frame) => frame.readUInt32BE(offset)));
  const [handles, replyTos] = [seen(14), seen(18)];
  // The child's own farewell would end a session, and is no attack.
  for (const [name, handle] of Object.entries(Handle)) assert.ok(handles.has(handle), name);
  for (const replyTo of [0, Handle.IS_DEAD, Handle.FIRST_DYNAMIC, Handle.ALLOCATE_ID])
    assert.ok(replyTos.has(replyTo));
  const encodings = new Set(frames.map((frame) => frame.readUInt16BE(0)));
  assert.deepEqual([...encodings].sort(), Object.values(Encoding).sort());
});

for (const [title, behindHop, frames] of [
  ["the program", false, isFull ? 12_000 : isQuick ? 200 : 400],
  ["a hop", true, isFull ? 6_000 : isQuick ? 100 : 200],
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

const INPUTS = isFull ? 2_000 : isQuick ? 150 : 400;
it(`${INPUTS} times hostile greetings, prompts and frames, seed ${SEED}, are noise or refused`, () => {
  const random = new Random(SEED);
  for (let input = 0; input < INPUTS; input++) tryInputs(random);
});

const TOOLS = isFull ? 12 : 3;
it(`${TOOLS} tools that ask anything, seed ${SEED}, end the connect, and learn the password at most once`, async () => {
  await tryTools(new Random(SEED), TOOLS);
});
