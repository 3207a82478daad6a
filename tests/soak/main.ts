/**
 * npm run soak [-- --scale N --minutes N --only words]: a million calls, and ten thousand of everything else.
 */
import { parseArgs } from "node:util";
import { KINDS } from "./kinds.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    scale: { type: "string", default: "1" },
    minutes: { type: "string", default: "60" },
    only: { type: "string", default: "" },
  },
});
const deadline = Date.now() + Number(values.minutes) * 60_000;
const kinds = KINDS.filter(({ name }) => name.includes(values.only));
for (const [index, kind] of kinds.entries()) {
  // The kinds that are left share the time that is left.
  const until = Date.now() + (deadline - Date.now()) / (kinds.length - index);
  const started = performance.now();
  const { name, count, slopes } = await soak(kind, Math.ceil(kind.count * Number(values.scale)), {
    isOver: () => Date.now() > until,
  });
  console.log(`${name}: ${count} in ${Math.round((performance.now() - started) / 1000)} s`);
  for (const { what, each, total, isFlat } of slopes) {
    console.log(
      `  ${isFlat ? "" : "GROWS "}${what}: ${each.toPrecision(3)} each, ${Math.round(total)} in all`,
    );
    if (!isFlat) process.exitCode = 1;
  }
}
