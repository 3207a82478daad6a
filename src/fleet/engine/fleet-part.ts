import { gatherFacts } from "./facts.ts";

/** The exports of the part `mitogen:fleet`. */
export function mitogenModule(): Record<string, unknown> {
  return { gatherFacts };
}
