// npm run bench [-- names…]: ours and each peer by turns in one run, so that a busy machine slows both alike.
import { readdirSync } from "node:fs";
import { cpus } from "node:os";
import { failedLine, HEADER, tableLine } from "./table.mjs";

const PAIRS = 7;

const names = process.argv.slice(2).map((name) => name.toLowerCase());
const files = readdirSync(new URL("rows/", import.meta.url)).sort();
const modules = await Promise.all(files.map((file) => import(`./rows/${file}`)));
const all = modules.flatMap(({ rows }, at) => rows.map((row) => ({ ...row, file: files[at] })));
const chosen = all.filter(({ file, name, peer }) => {
  const text = `${file}: ${name} / ${peer}`.toLowerCase();
  return names.length === 0 || names.some((each) => text.includes(each));
});
if (chosen.length === 0) throw new Error(`No row matches ${names.join(" ")}`);

const lines = [];
for (const row of chosen) {
  const line = await measure(row).catch((error) => {
    process.exitCode = 1;
    return failedLine(row, error);
  });
  console.error(line);
  lines.push(line);
}
console.log(
  `\nNode ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model}\n`,
);
console.log([HEADER, ...lines].join("\n"));

async function measure(row) {
  try {
    await row.setup();
    await row.runA(); // The first time pays for compiling and for cold caches: not counted.
    await row.runB();
    const pairs = [];
    while (pairs.length < (row.pairs ?? PAIRS)) pairs.push([await row.runA(), await row.runB()]);
    return tableLine(row, pairs);
  } finally {
    await row.teardown();
  }
}
