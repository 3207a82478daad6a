/** What happens in one round, derived from a seed. */
import { Random } from "../support/random.ts";

/** What the program does meanwhile. */
export const OPERATIONS = [
  "first connect",
  "connect",
  "call",
  "stream",
  "getFile",
  "putFile",
  "chain",
  "service",
  "subprocess",
  "detach",
  "shutdown",
] as const;
/** The program, its two contexts, and the tools between them. */
export const VICTIMS = ["program", "hop", "target", "tool of the hop", "tool of the target"] as const;
/** The last three happen to the link, in the tool: it falls silent, is closed one way, or breaks. */
export const ACTIONS = ["SIGKILL", "SIGTERM", "SIGSTOP", "silent", "half-close", "reset"] as const;

export interface Plan {
  readonly operation: (typeof OPERATIONS)[number];
  readonly victim: (typeof VICTIMS)[number];
  readonly action: (typeof ACTIONS)[number];
  /** The delay from the beginning of the operation. */
  readonly delayMs: number;
  /** The program is killed as well, soon after, so that nobody is left to end the processes behind a silent link. */
  readonly killsProgram: boolean;
}

/** Operations and actions take turns. The seed decides the rest. */
export function planOf(seed: number, round: number, isLong: boolean): Plan {
  const random = new Random(seed + round);
  const action = ACTIONS[round % ACTIONS.length] as Plan["action"];
  // There are eleven operations and six actions: after 66 rounds, each has met each.
  const operation = OPERATIONS[round % OPERATIONS.length] as Plan["operation"];
  const victim = isOfLink(action) ? random.pick(VICTIMS.slice(3)) : random.pick(VICTIMS);
  const killsProgram = isLong && action === "silent" && random.chance(3);
  return { operation, victim, action, delayMs: random.below(random.pick([5, 50, 400])), killsProgram };
}

export const isOfLink = (action: Plan["action"]): boolean =>
  action === "silent" || action === "half-close" || action === "reset";
