import { inflateRawSync } from "node:zlib";
import { SHARED } from "./shared.generated.ts";

/**
 * Evaluates a library part, as packed by the master, and returns its exports. The part takes large code, and
 * objects that must be the same on both sides, from the payload and from `more`: src/layers.json names them.
 */
export function evaluatePart(packed: Uint8Array, more?: object): object {
  // biome-ignore lint/security/noGlobalEval: it is the library's own code; indirect, in the global scope
  const evaluate = eval;
  const load = evaluate(inflateRawSync(packed).toString()) as (require: unknown, shared: object) => object;
  return load(require, { ...SHARED, ...more });
}
