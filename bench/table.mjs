// Turns what was measured into lines of markdown, and judges it.
import { cpuUnit, isHigherBetter } from "./measure.mjs";

const SHOWN_CHARACTERS = 300; // Of an error. The JSON has all of it.

export const PEERS_HEADER = header(
  "what",
  "peer",
  "ours",
  "peer",
  "ours ÷ peer (min–max)",
  "CPU: ours, peer, ÷",
  "goal",
  "met",
);
export const AGAINST_HEADER = header(
  "what",
  "better",
  "now",
  "then",
  "now ÷ then (min–max)",
  "CPU: now, then, ÷ (min–max)",
);

/**
 * Medians of two sides that ran by turns, and of their ratios and differences pair by pair; `theirs` may be
 * missing. Throws the error of a side that failed.
 */
export function compare(ours, theirs) {
  for (const side of [ours, theirs]) if (side instanceof Error) throw side;
  const both = (pick) => {
    const a = ours.map(pick);
    if (theirs === undefined) return { ours: median(a) };
    const b = theirs.map(pick);
    return {
      ours: median(a),
      theirs: median(b),
      ratio: spread(a.map((value, at) => value / b[at])),
      more: median(a.map((value, at) => value - b[at])),
    };
  };
  return { value: both(({ value }) => value), cpu: both(({ cpu }) => cpu) };
}

/** Each part of a goal: its text, and whether it is met. */
export function judge(goal, unit, { value, cpu }) {
  const checks = {
    ratioAtMost: (most) => [`≤ ${most} ×`, value.ratio?.median <= most],
    ratioAtLeast: (least) => [`≥ ${least} ×`, value.ratio?.median >= least],
    moreAtMost: (most) => [`≤ + ${most} ${unit} (is ${signed(value.more)})`, value.more <= most],
    atMost: (most) => [`≤ ${most} ${unit}`, value.ours <= most],
    cpuRatioAtMost: (most) => [`CPU ≤ ${most} ×`, cpu.ratio?.median <= most],
    cpuAtMost: (most) => [`CPU ≤ ${most} ${cpuUnit(unit)}`, cpu.ours <= most],
  };
  return Object.entries(goal).map(([kind, limit]) => checks[kind](limit));
}

/** A peer without a goal is a floor: not a goal to meet, but the least that a row could take. */
export function peerLine(row, peer, found) {
  const { value, cpu } = found;
  const judged = peer.goal && judge(peer.goal, row.unit, found);
  return line(
    row.what,
    peer.name,
    amount(value.ours, row.unit),
    amount(value.theirs, row.unit),
    withSpread(value.ratio),
    cpuCell(row.unit, cpu, cpu.ratio && `${digits(cpu.ratio.median)} ×`),
    judged?.map(([text]) => text).join(", ") ?? "–",
    judged === undefined ? "" : judged.every(([, isMet]) => isMet) ? "yes" : "**no**",
  );
}

export function againstLine(row, { value, cpu }) {
  return line(
    row.what,
    isHigherBetter(row.unit) ? "**higher**" : "lower",
    amount(value.ours, row.unit),
    amount(value.theirs, row.unit),
    withSpread(value.ratio),
    cpuCell(row.unit, cpu, withSpread(cpu.ratio)),
  );
}

export function failedLine(what, beside, error) {
  const message = error.message.replaceAll("\n", " ").replaceAll("|", "/");
  return line(what, beside, `not run: ${message.slice(0, SHOWN_CHARACTERS)}`);
}

function header(...cells) {
  return [line(...cells), `|${"---|".repeat(cells.length)}`].join("\n");
}

function line(...cells) {
  return `| ${cells.join(" | ")} |`;
}

function cpuCell(unit, cpu, ratio) {
  if (Number.isNaN(cpu.ours)) return "–";
  const amounts = [cpu.ours, cpu.theirs]
    .filter((each) => each !== undefined)
    .map((each) => amount(each, cpuUnit(unit)));
  return [...amounts, ratio].filter(Boolean).join(", ");
}

function withSpread(ratio) {
  return ratio ? `${digits(ratio.median)} × (${digits(ratio.min)}–${digits(ratio.max)})` : "–";
}

function amount(value, unit) {
  return value === undefined ? "–" : `${digits(value)} ${unit}`;
}

function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function signed(value) {
  return `${value < 0 ? "−" : "+"} ${digits(Math.abs(value))}`;
}

function digits(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
