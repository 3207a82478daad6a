/**
 * Minifies with terser. That takes most of a build's time, so node_modules/.cache keeps what the last build got: for the
 * same text, options and version of terser the result is the same.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { minify as minifyAnew } from "terser";

const CACHE = "node_modules/.cache/mitogen/minified.json";
const { version } = createRequire(import.meta.url)("terser/package.json");
const known = readCache();
/** The minified texts that this build has used. */
const used = {};

export async function minify(text, options) {
  const key = createHash("sha256")
    .update(JSON.stringify([version, options, text]))
    .digest("hex");
  used[key] = known[key] ?? (await minifyAnew(text, options)).code;
  return used[key];
}

/** Keeps the texts that this build has used, and no others. */
export function keepMinified() {
  mkdirSync(dirname(CACHE), { recursive: true });
  const own = `${CACHE}.${process.pid}`;
  writeFileSync(own, JSON.stringify(used));
  renameSync(own, CACHE);
}

function readCache() {
  try {
    return JSON.parse(readFileSync(CACHE, "utf8"));
  } catch {
    return {}; // The first build, or one that was cut off.
  }
}
