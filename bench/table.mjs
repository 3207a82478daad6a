// Turns the pairs of a row into a line of the table, judged against its goal.

export const HEADER = [
  "| what | peer | ours, median | peer, median | ours ÷ peer (min–max) | goal | met |",
  "|---|---|---|---|---|---|---|",
].join("\n");

/** `pairs` holds `[ours, peer]`, each measured right after the other. */
export function tableLine(row, pairs) {
  const ours = median(pairs.map(([a]) => a));
  const peer = median(pairs.map(([, b]) => b));
  const ratios = pairs.map(([a, b]) => a / b);
  const ratio = median(ratios);
  const spread = `${digits(ratio)} × (${digits(Math.min(...ratios))}–${digits(Math.max(...ratios))})`;
  const more = median(pairs.map(([a, b]) => a - b));
  const { goal, unit } = row;
  const [text, isMet] =
    goal.moreAtMost !== undefined
      ? [
          `≤ + ${goal.moreAtMost} ${unit} (is ${more < 0 ? "−" : "+"} ${digits(Math.abs(more))})`,
          more <= goal.moreAtMost,
        ]
      : goal.ratioAtLeast !== undefined
        ? [`≥ ${goal.ratioAtLeast} ×`, ratio >= goal.ratioAtLeast]
        : [`≤ ${goal.ratioAtMost} ×`, ratio <= goal.ratioAtMost];
  const cells = [row.name, row.peer, `${digits(ours)} ${unit}`, `${digits(peer)} ${unit}`, spread, text];
  return `| ${[...cells, isMet ? "yes" : "**no**"].join(" | ")} |`;
}

export function failedLine(row, error) {
  return `| ${row.name} | ${row.peer} | not run: ${error.message.replaceAll("\n", " ").replaceAll("|", "/")} | | | | **no** |`;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function digits(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
