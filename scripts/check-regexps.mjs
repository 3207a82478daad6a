/**
 * `npm run check`: proves that every regular expression in src/ takes time in proportion to the text it sees,
 * because much of that text comes from contexts and from tools. recheck
 * (https://makenowjust-labs.github.io/recheck/) makes the proof. An expression that it cannot prove is written
 * differently: no back-references, no counted repetitions of more than a few, no look-aheads. check.mjs runs this
 * with npx, so recheck is found by PATH.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { parse } from "acorn";
import { transformSync } from "esbuild";

/** For one expression, in milliseconds. Most take 50. */
const TIMEOUT_MS = 60_000;

/**
 * Expressions of earlier versions, on which this must fail: one is quadratic by what it repeats, one by where
 * it begins.
 */
const KNOWN_BAD = [
  "^(?:[^\\s:]+@[^\\s]+: )?Permission denied",
  "continue connecting \\(yes\\/no[^)]*\\)\\? *$",
];

const { check } = loadRecheck();
for (const pattern of KNOWN_BAD) {
  if ((await objection({ pattern, flags: "i" })) === undefined)
    throw new Error(`recheck finds nothing in ${pattern}`);
}
const proven = new Set();
for (const name of readdirSync("src", { recursive: true })) {
  if (!name.endsWith(".ts") || name.endsWith(".generated.ts")) continue;
  for (const [text, regexp] of regexpsOf(readFileSync(join("src", name), "utf8"))) {
    if (proven.has(text)) continue;
    const reason = await objection(regexp);
    if (reason === undefined) proven.add(text);
    else {
      console.error(`src/${name}: ${text}: ${reason}`);
      process.exitCode = 1;
    }
  }
}
console.log(`${proven.size} regular expressions are linear.`);

/** The literals of a TypeScript source, each once. A `new RegExp(…)` has no text to prove anything of. */
function regexpsOf(source) {
  const found = new Map();
  const walk = (node) => {
    if (typeof node !== "object" || node === null) return;
    const { pattern, flags } = node.regex ?? {};
    if (pattern !== undefined) found.set(`/${pattern}/${flags}`, { pattern, flags });
    for (const child of Object.values(node)) walk(child);
  };
  const { code } = transformSync(source, { loader: "ts", target: "es2023" });
  walk(parse(code, { ecmaVersion: "latest", sourceType: "module" }));
  return found;
}

/** Why an expression is not known to be linear; undefined if it is. */
async function objection({ pattern, flags }) {
  const { status, checker, complexity, attack, error } = await check(pattern, flags, { timeout: TIMEOUT_MS });
  if (status === "safe" && checker === "automaton") return undefined;
  if (status === "vulnerable") return `${complexity.summary}, for instance for ${attack.pattern}`;
  return `linear time could not be proven (${error?.kind ?? checker}); write it without look-aheads, back-references and counts`;
}

function loadRecheck() {
  for (const folder of process.env.PATH.split(delimiter)) {
    try {
      return createRequire(join(folder, ".."))(join(folder, "..", "recheck"));
    } catch {
      // Not npx's folder.
    }
  }
  throw new Error("Cannot find recheck on PATH: run this by npm run check");
}
