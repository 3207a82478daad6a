// The options of `npm run bench -- …`.
import { parseArgs } from "node:util";

/**
 * `names` choose rows by a part of their file, name or peer, in any case. Without names, all rows are chosen.
 * `against` is a revision to compare with instead of the peers, `pairs` how often each side runs (by default what
 * the row says), `json` a file for the results. Throws on an unknown option and on an invalid number of
 * pairs.
 */
export function parseOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { against: { type: "string" }, json: { type: "string" }, pairs: { type: "string" } },
  });
  const { against, json, pairs } = values;
  if (pairs !== undefined && !/^[1-9]\d{0,3}$/.test(pairs)) {
    throw new Error(`--pairs wants a number from 1 to 9999, not ${pairs}`);
  }
  const names = positionals.map((name) => name.toLowerCase());
  return { names, against, json, pairs: pairs === undefined ? undefined : Number(pairs) };
}
