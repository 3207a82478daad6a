/** What happens in one round, made of a seed. */
import { Random } from "../support/random.ts";

/** What the program does while it happens. */
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
/** Of the three, and of what stands between two of them. */
export const VICTIMS = ["program", "hop", "target", "tool of the hop", "tool of the target"] as const;
/** The last three happen to the link, in the tool: it falls silent, is closed one way, or breaks. */
export const ACTIONS = ["SIGKILL", "SIGTERM", "SIGSTOP", "silent", "half-close", "reset"] as const;

export interface Plan {
  readonly operation: (typeof OPERATIONS)[number];
  readonly victim: (typeof VICTIMS)[number];
  readonly action: (typeof ACTIONS)[number];
  /** From the beginning of the operation. */
  readonly delayMs: number;
  /** The program is killed as well, soon after: nobody is left to end what is behind a silent link. */
  readonly killsProgram: boolean;
}

/** Every operation and every action comes in turn; the rest is the seed's. */
export function planOf(seed: number, round: number, isLong: boolean): Plan {
  const random = new Random(seed + round);
  const action = ACTIONS[round % ACTIONS.length] as Plan["action"];
  // There are eleven of these and six of those: after 66 rounds each has met each.
  const operation = OPERATIONS[round % OPERATIONS.length] as Plan["operation"];
  const victim = isOfLink(action) ? random.pick(VICTIMS.slice(3)) : random.pick(VICTIMS);
  const killsProgram = isLong && action === "silent" && random.chance(3);
  return { operation, victim, action, delayMs: random.below(random.pick([5, 50, 400])), killsProgram };
}

export const isOfLink = (action: Plan["action"]): boolean =>
  action === "silent" || action === "half-close" || action === "reset";
