/** What happens in one round, derived from a seed. */
import type { Random } from "../support/random.ts";
import type { Print, Work } from "./functions.ts";
import { WAY_CHANGES } from "./ways.ts";

/** So large that links send the message in parts, and the broker thread writes it instead of the main thread. */
const LARGE_BYTES = 200 * 1024;
/** Not sent in parts, but too large for the main thread to write. */
const MEDIUM_BYTES = 20 * 1024;
export const CHAINS = 2;

/**
 * The module of the called function: one that the context has; a new one that imports another; a new one that imports,
 * or requires, another when it is called; or one that the context has and that requires a new one.
 */
export const MODULES = ["own", "graph", "late import", "late require", "require"] as const;

export interface CallEvent {
  readonly kind: "call";
  readonly work: Work;
  readonly form: "call" | "callAsync" | "callNoReply";
  readonly isLater: boolean;
  readonly argumentBytes: number;
  readonly module: (typeof MODULES)[number];
  readonly chain: number | undefined;
  /** Whether it is made while a gate holds it. If it is given up, it can then never begin. */
  readonly isHeld: boolean;
  /** When it is given up: before how many further events (0: at once), or after what time. */
  readonly givenUp: { readonly events: number } | { readonly timeoutMs: number } | undefined;
}

export type Event =
  | CallEvent
  | {
      readonly kind: "post";
      readonly to: 0 | 1;
      readonly sizes: readonly number[];
      readonly isAwaited: boolean;
    }
  | { readonly kind: "mark" }
  /** The program waits: for a turn, until one of its calls is over, or until all are. */
  | { readonly kind: "turn"; readonly until: "turn" | "answer" | "answers" }
  | { readonly kind: "reset"; readonly chain: number }
  /**
   * A gate holds up calls: a module that is being evaluated, or the call before in their chain. Meanwhile, some are
   * given up.
   */
  | {
      readonly kind: "gate";
      readonly by: "module" | "chain";
      readonly holder: Work;
      readonly behind: readonly CallEvent[];
      readonly hasTurn: boolean;
    }
  | { readonly kind: "way"; readonly change: number };

/** Numbers of its calls begin above `base`. */
export function planOf(random: Random, base: number): Event[] {
  return new Planner(random, base).events();
}

class Planner {
  readonly #random: Random;
  #last: number;

  constructor(random: Random, base: number) {
    this.#random = random;
    this.#last = base;
  }

  events(): Event[] {
    const count = 20 + this.#random.below(30);
    return Array.from({ length: count }, () => this.event());
  }

  private event(): Event {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 58) return this.call();
    if (kind < 69) {
      // Now and then more than may be under way.
      const count = random.chance(8) ? 10 : 1;
      const sizes = Array.from({ length: count }, () => (random.chance(count > 1 ? 2 : 8) ? LARGE_BYTES : 0));
      return { kind: "post", to: random.below(2) as 0 | 1, sizes, isAwaited: random.chance(3) };
    }
    if (kind < 75) return { kind: "mark" };
    if (kind < 86)
      return { kind: "turn", until: random.pick(["turn", "turn", "turn", "answer", "answer", "answers"]) };
    if (kind < 94) return { kind: "reset", chain: random.below(CHAINS) };
    if (kind < 98) return this.gate();
    return { kind: "way", change: random.below(WAY_CHANGES.length) };
  }

  private call(): CallEvent {
    const random = this.#random;
    const module = random.chance(6) ? random.pick(MODULES) : "own";
    const chain = random.chance(4) ? random.below(CHAINS) : undefined;
    const isAtOnce = module === "late require" || module === "require";
    const isLater = module === "late import" || (!isAtOnce && random.below(5) < 2);
    return {
      kind: "call",
      work: this.work(isLater, random.chance(25)),
      form: random.pick(["call", "call", "call", "callAsync", "callAsync", "callNoReply"]),
      isLater,
      argumentBytes: this.size(),
      module,
      chain,
      isHeld: false,
      givenUp: random.chance(chain === undefined ? 6 : 12) ? this.givenUp() : undefined,
    };
  }

  private givenUp(): CallEvent["givenUp"] {
    const random = this.#random;
    return random.chance(3) ? { timeoutMs: 1 + random.below(20) } : { events: random.below(4) };
  }

  private work(isLater: boolean, fails: boolean): Work {
    const random = this.#random;
    return {
      n: ++this.#last,
      delayMs: isLater && random.chance(3) ? random.below(20) : 0,
      print: random.chance(4) ? this.print() : undefined,
      tally: random.chance(7) ? 1 + random.below(5) : 0,
      bulk: isLater && random.chance(12) ? 1 + random.below(8) : 0,
      resultBytes: this.size(),
      fails,
    };
  }

  private print(): Print {
    const random = this.#random;
    const stream = random.pick(["stdout", "stderr"] as const);
    if (random.chance(15)) return { stream, lines: 1, characters: LARGE_BYTES };
    return { stream, lines: random.chance(15) ? 100 : 1 + random.below(3), characters: random.below(40) };
  }

  private size(): number {
    const size = this.#random.below(100);
    if (size < 7) return LARGE_BYTES;
    return size < 14 ? MEDIUM_BYTES : 0;
  }

  private gate(): Event {
    const random = this.#random;
    const by = random.pick(["module", "chain"] as const);
    const holder = this.work(false, false);
    const behind = Array.from({ length: 1 + random.below(5) }, (): CallEvent => {
      const call = this.call();
      const givenUp = random.chance(2) ? { events: 0 } : undefined;
      return { ...call, work: { ...call.work, fails: false }, isHeld: true, chain: undefined, givenUp };
    });
    return { kind: "gate", by, holder, behind, hasTurn: random.chance(2) };
  }
}
