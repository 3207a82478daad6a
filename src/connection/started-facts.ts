import type { ConnectionFacts } from "../core/describe.ts";
import type { StartedChild } from "./children/children.ts";

/**
 * What a new context, or the context that started it, says of it. These are claims: nothing has checked them.
 */
export type StartedFacts = Pick<ConnectionFacts, "pid" | "platform" | "arch" | "argv">;

/** The same, with the method and what the greeting said. */
export type MethodFacts = StartedFacts & Pick<ConnectionFacts, "method" | "nodeVersion">;

/**
 * Limits on what a context says of a child that it has started: words in the command, and characters in each
 * word and in each other fact.
 */
const MAX_ARGV = 1000;
const MAX_FACT_CHARACTERS = 4096;

/** What the greeting of a child of this process said. */
export function factsOf({ ready: { pid, platform, arch }, argv }: StartedChild): StartedFacts {
  return { pid, platform, arch, argv };
}

/**
 * Reads [pid, platform, architecture, argv] of another context's child. These are claims: any of them may be
 * wrong.
 */
export function readFacts([pid, platform, arch, argv]: readonly unknown[]): StartedFacts {
  return {
    pid: typeof pid === "number" ? pid : Number.NaN,
    platform: fact(platform),
    arch: fact(arch),
    argv: Array.isArray(argv) ? argv.slice(0, MAX_ARGV).map(fact) : [],
  };
}

function fact(claim: unknown): string {
  return typeof claim === "string" ? claim.slice(0, MAX_FACT_CHARACTERS) : "unknown";
}
