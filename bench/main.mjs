// npm run bench [-- names…]: measures ours and its peers, or ours and another revision of ours, by turns in one run, so
// that a busy machine slows all alike.
import { readdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { here, loadLibrary } from "./library.mjs";
import { isHigherBetter, measure } from "./measure.mjs";
import { parseOptions } from "./options.mjs";
import { buildRevision } from "./revision.mjs";
import { AGAINST_HEADER, againstLine, compare, failedLine, judge, PEERS_HEADER, peerLine } from "./table.mjs";

const options = parseOptions(process.argv.slice(2));
// Variables that change Node's start would change only our side. Rows set the variables that they are about.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("NODE_") || name === "MITOGEN_CACHE") delete process.env[name];
}
// Folders are removed when the process exits, so a signal must make it exit.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const rows = await chooseRows(options.names);
const then = options.against === undefined ? undefined : buildRevision(options.against);

const now = await loadLibrary(here);
const before = then && (await loadLibrary(then.root));
const lines = [];
const results = [];
for (const row of rows) {
  const settings = { ...row, pairs: options.pairs ?? row.pairs };
  if (before) {
    const starts = [() => row.ours(now), () => row.ours(before)];
    report(row, undefined, await measure(settings, starts));
  } else {
    const peers = row.peers.filter(({ start }) => start);
    const starts = [row.ours, ...peers.map(({ start }) => start)].map((start) => start.bind(undefined, now));
    const [ours, ...theirs] = await measure(settings, starts);
    for (const peer of row.peers) report(row, peer, [ours, theirs[peers.indexOf(peer)]]);
  }
}

const machine = `Node ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model}`;
console.log(`\n${[machine, ...(then ? [`now against ${then.commit}`] : [])].join("; ")}\n`);
console.log([then ? AGAINST_HEADER : PEERS_HEADER, ...lines].join("\n"));
if (options.json) {
  const about = { node: process.version, machine, date: new Date().toISOString(), against: then?.commit };
  writeFileSync(options.json, `${JSON.stringify({ ...about, rows: results }, undefined, 2)}\n`);
}

async function chooseRows(names) {
  const files = readdirSync(new URL("rows/", import.meta.url)).sort();
  const modules = await Promise.all(files.map((file) => import(`./rows/${file}`)));
  const all = modules.flatMap(({ rows }, at) => rows.map((row) => ({ ...row, file: files[at] })));
  const isChosen = (text) => names.length === 0 || names.some((name) => text.toLowerCase().includes(name));
  const chosen = all
    .map((row) => ({
      ...row,
      peers: row.peers.filter((peer) => isChosen(`${row.file}: ${row.what} / ${peer.name}`)),
    }))
    .filter(({ peers }) => peers.length > 0);
  if (chosen.length === 0) throw new Error(`No row matches ${names.join(" ")}`);
  return chosen;
}

function report(row, peer, [ours, theirs]) {
  const { file, what, unit } = row;
  const about = {
    file,
    what,
    peer: peer?.name,
    unit,
    isHigherBetter: isHigherBetter(unit),
    goal: peer?.goal,
  };
  try {
    const found = compare(ours, theirs);
    const isMet = peer?.goal && judge(peer.goal, unit, found).every(([, isPartMet]) => isPartMet);
    results.push({ ...about, isMet, ...found, samples: { ours, theirs } });
    lines.push(peer ? peerLine(row, peer, found) : againstLine(row, found));
  } catch (error) {
    process.exitCode = 1;
    results.push({ ...about, error: error.message });
    lines.push(failedLine(what, peer?.name ?? "", error));
  }
  console.error(lines.at(-1));
}
