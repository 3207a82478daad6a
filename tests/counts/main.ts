/**
 * npm run counts [-- --record --repeat N]: prints counts beside the recorded ones, for every Node of the lab
 * in CI. See bench/README.md.
 */
import { parseArgs } from "node:util";
import { nodes } from "../support/lab.ts";
import { type Counts, compare, readRecord, writeRecord } from "./counts.ts";
import { measure } from "./measure.ts";

const OLDEST_PROGRAM = 20;

const { values } = parseArgs({
  options: { record: { type: "boolean", default: false }, repeat: { type: "string", default: "1" } },
});
const ownMajor = process.versions.node.split(".")[0] as string;
const others = Object.entries(nodes).filter(
  ([major]) => major !== ownMajor && Number(major) >= OLDEST_PROGRAM,
);
for (const [major, node] of [[ownMajor, process.execPath] as const, ...others]) {
  console.log(`\nNode ${major}`);
  const runs = [];
  for (let run = 0; run < Number(values.repeat); run++) runs.push(await measure(node));
  const [{ counts, notes, isKnown }] = runs as [Awaited<ReturnType<typeof measure>>];
  const recorded = readRecord(major);
  print(
    runs.map((run) => run.counts),
    recorded,
  );
  for (const note of notes) console.log(note);
  const { grown, shrunk } = compare(recorded ?? {}, counts, isKnown);
  if (values.record) {
    // Counts that this machine cannot take stay as another one has recorded them.
    const kept = Object.entries(recorded ?? {}).filter(([name]) => !isKnown(name));
    console.log(`Recorded in ${writeRecord(major, { ...counts, ...Object.fromEntries(kept) })}`);
  } else {
    for (const line of shrunk) console.log(`SHRUNK, record it: ${line}`);
    for (const line of grown) console.log(`GROWN: ${line}`);
    if (grown.length > 0) process.exitCode = 1;
  }
}

function print(runs: readonly Counts[], recorded: Counts = {}): void {
  for (const name of Object.keys(runs[0] ?? {})) {
    const found = runs.map((counts) => counts[name] ?? Number.NaN);
    const [least, most] = [Math.min(...found), Math.max(...found)];
    const spread = least === most ? "" : ` to ${most} (${((most / least - 1) * 100).toFixed(1)} %)`;
    console.log(`${name}: ${least}${spread}, recorded ${recorded[name] ?? "never"}`);
  }
}
