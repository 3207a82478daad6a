/** npm run fuzz [-- --seed N --frames N --minutes N --hop only|never]: the long form of hostile.test.ts. */
import { parseArgs } from "node:util";
import { Random } from "../support/random.ts";
import { attack } from "./attack.ts";
import { tryInputs } from "./inputs.ts";
import { tryTools } from "./tools.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    frames: { type: "string", default: "1000000" },
    minutes: { type: "string", default: "120" },
    hop: { type: "string" },
  },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
const frames = Number(values.frames);
const deadline = Date.now() + Number(values.minutes) * 60_000;
/** So few that a broken promise is reported soon, with a seed that stands for few frames. */
const ROUND_FRAMES = 20_000;

console.log(`seed ${seed}: repeat it with npm run fuzz -- --seed ${seed} --frames ${frames}`);
let sent = 0;
for (let round = 0; sent < frames && Date.now() < deadline; round++) {
  const own = seed + round * 1_000;
  const behindHop = values.hop === "only" || (values.hop !== "never" && round % 3 === 2);
  const report = await attack({
    seed: own,
    frames: Math.min(ROUND_FRAMES, frames - sent),
    behindHop,
    deadline,
  });
  sent += report.frames;
  const random = new Random(own);
  for (let input = 0; input < 1_000; input++) tryInputs(random);
  await tryTools(random, 8);
  const { worstStallMs, growthMiB, logRecords, broken } = report;
  console.log(
    `seed ${own}${behindHop ? " behind a hop" : ""}: ${report.frames} frames in ${report.sessions} sessions (${sent} in all); longest stall ${worstStallMs} ms of CPU time, grown by ${growthMiB} MiB, ${logRecords} log records`,
  );
  for (const [check, what] of broken) console.error(`BROKEN ${check}:\n  ${what.join("\n  ")}`);
  if (broken.size > 0) {
    const hop = behindHop ? "only" : "never";
    console.error(`repeat: npm run fuzz -- --seed ${own} --frames ${ROUND_FRAMES} --hop ${hop}`);
    process.exitCode = 1;
    break;
  }
  if (report.frames === 0) throw new Error("Nothing was sent");
}
