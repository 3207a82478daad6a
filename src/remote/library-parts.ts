import { inflateRawSync } from "node:zlib";
import { SHARED } from "./shared.generated.ts";

/**
 * Evaluates a part that travels later, as packed by the master, and answers what it exports. Beside `more` it takes from the payload, instead of
 * bringing its own, what is large, and what must be the same object on both sides: src/layers.json names it.
 */
export function evaluatePart(packed: Uint8Array, more?: object): object {
  // biome-ignore lint/security/noGlobalEval: it is the library's own code; indirect, in the global scope
  const evaluate = eval;
  const load = evaluate(inflateRawSync(packed).toString()) as (require: unknown, shared: object) => object;
  return load(require, { ...SHARED, ...more });
}
