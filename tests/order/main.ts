/**
 * npm run order [-- --seed N --first N --rounds N --minutes N --load N --node PATH]: plays rounds until one is broken, or all are played, or time is up.
 */
import { execFileSync, spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { type Played, playRounds, ROUNDS_OF_ALL, sumOf } from "./rounds.ts";

const SHOWN_ROUNDS = 100;
/** Runs until the program that has started it is gone. */
const BUSY_LOOP = "const { ppid } = process; while (process.ppid === ppid);";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    first: { type: "string", default: "0" },
    rounds: { type: "string", default: "1000" },
    minutes: { type: "string", default: "60" },
    load: { type: "string", default: "2" },
    node: { type: "string", default: process.execPath },
  },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const deadline = Date.now() + Number(values.minutes) * 60_000;
// Modules that are compiled for one round are of no use to others.
process.env.MITOGEN_CACHE = "off";
const { node } = values;
const version = execFileSync(node, ["--version"], { encoding: "utf8" });
const load = Array.from({ length: Number(values.load) }, () => spawn(process.execPath, ["-e", BUSY_LOOP]));
const played: Played[] = [];
let isBroken = false;

console.log(`seed ${seed}, contexts on Node ${version.trim()}, beside ${load.length} busy loops`);
try {
  await playRounds({
    seed,
    first: Number(values.first),
    rounds: Number(values.rounds),
    nodePath: node,
    hasTopLevelAwait: Number.parseInt(version.slice(1), 10) >= 14,
    onPlayed: note,
    isOver: () => isBroken || Date.now() > deadline,
  });
} finally {
  for (const each of load) each.kill("SIGKILL");
}
show(played);

function note(each: Played): void {
  played.push(each);
  if (played.length % SHOWN_ROUNDS === 0) show(played.slice(-SHOWN_ROUNDS));
  if (each.broken.length === 0) return;
  isBroken = true;
  process.exitCode = 1;
  // Begins with the round in which its context was new, because earlier rounds may matter.
  const first = each.round - (each.round % ROUNDS_OF_ALL);
  console.error(`BROKEN round ${each.round}, in ${each.place}:\n  ${each.broken.slice(0, 20).join("\n  ")}`);
  console.error(
    `repeat: npm run order -- --seed ${seed} --first ${first} --rounds ${each.round + 1 - first} --node ${node}`,
  );
}

function show(rounds: readonly Played[]): void {
  const { calls, inNewModules, inChains, givenUp, neverBegun, lines, messages, large } = sumOf(
    rounds.map(({ counts }) => counts),
  );
  const ms = rounds.map((round) => round.ms).sort((a, b) => a - b);
  console.log(
    `${rounds.length} rounds: ${calls} calls (${inNewModules} in new modules, ${inChains} in chains, ${large} large, ${givenUp} given up, ${neverBegun} never begun), ${lines} lines, ${messages} messages; a round took ${Math.round(ms[ms.length >> 1] ?? 0)} ms, ${Math.round(ms.at(-1) ?? 0)} at most`,
  );
}
