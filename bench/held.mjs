// node bench/held.mjs [counts…]: prints a table of what each of many local contexts costs that are held at once.
import { treeCpuMs } from "./cpu.mjs";
import { noop } from "./functions.mjs";
import { here, loadLibrary } from "./library.mjs";
import { Ours } from "./ours.mjs";

const ROUNDS = 3;
const WARM = 10;
const PHASES = ["connect", "first call", "tenth call", "shutdown"];

const counts = process.argv.slice(2).map(Number);
if (counts.length === 0) counts.push(25, 50, 100, 200);
for (const name of Object.keys(process.env)) if (name.startsWith("NODE_")) delete process.env[name];
const library = await loadLibrary(here);

await costs(WARM);
const found = new Map(counts.map((count) => [count, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [count, rounds] of found) rounds.push(await costs(count));
}

console.log(
  `Node ${process.version}; per context: ms of wall, of the program's CPU, of the CPU of all processes\n`,
);
console.log(`| contexts | ${PHASES.join(" | ")} |\n|---|${"---|".repeat(PHASES.length)}`);
for (const [count, rounds] of found) {
  const cells = PHASES.map((_, at) => {
    const figures = ["wall", "own", "tree"].map((key) => median(rounds.map((round) => round[at][key])));
    return figures.map((figure) => figure.toPrecision(2)).join(", ");
  });
  console.log(`| ${count} | ${cells.join(" | ")} |`);
}

/** What each phase costs with `count` contexts that do it at the same time. */
async function costs(count) {
  const ours = new Ours(library);
  const contexts = [];
  const callAll = () => Promise.all(contexts.map((context) => context.call(noop)));
  const results = [];
  results.push(
    await cost(count, async () => {
      const all = Array.from({ length: count }, () => ours.router.local());
      contexts.push(...(await Promise.all(all)));
    }),
  );
  results.push(await cost(count, callAll));
  for (let call = 2; call < 10; call++) await callAll();
  results.push(await cost(count, callAll));
  results.push(await cost(count, () => ours.close()));
  return results;
}

async function cost(count, work) {
  const tree = treeCpuMs();
  const start = performance.now();
  const own = process.cpuUsage();
  await work();
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(own);
  return { wall: wall / count, own: (user + system) / 1000 / count, tree: (treeCpuMs() - tree) / count };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
