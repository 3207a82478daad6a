import { callErrorFrom } from "../../core/call-error.ts";
import { type CallError, MitogenError } from "../../errors.ts";
import { isStreamLeft } from "../caller/reader-left.ts";
import type { Call, Outcome, Perform } from "./dispatcher.ts";

/** Programs that never dispose of their chains must not fill this context; beyond, the one longest unused is forgotten. */
export const MAX_CHAINS = 1000;

interface Step {
  readonly call: Call;
  readonly perform: Perform;
}

/** The target's side of call chains: who is whose turn, and which have failed. */
export class Chains {
  /** The longest unused first. */
  readonly #chains: Map<string, Chain> = new Map();

  /** Makes a chain known; one that is known forgets its failure, behind the calls made before. */
  open(source: number, id: number): void {
    const chain = this.use(source, id) ?? new Chain();
    this.#chains.set(keyOf(source, id), chain);
    chain.add("reset");
    for (const key of this.#chains.keys()) {
      if (this.#chains.size <= MAX_CHAINS) break;
      this.#chains.delete(key);
    }
  }

  /** Forgets a chain; what waits in it still has its turn. */
  close(source: number, id: number): void {
    this.#chains.delete(keyOf(source, id));
  }

  /** Forgets all chains of these contexts. */
  closeAll(sources: ReadonlySet<number>): void {
    for (const key of this.#chains.keys()) {
      if (sources.has(Number.parseInt(key, 10))) this.#chains.delete(key);
    }
  }

  /** Performs a call when its chain has got there; one of no chain at once. */
  run(call: Call, perform: Perform): void {
    if (call.chain === null) {
      void perform();
      return;
    }
    const chain = this.use(call.message.srcId, call.chain);
    // Not to be run on its own: what it builds on may have failed.
    if (chain === undefined) void perform(forgotten());
    else chain.add({ call, perform });
  }

  /** The caller of a call that may be one of a chain's has given it up. */
  onCancelled(call: Call): void {
    if (call.chain !== null) this.#chains.get(keyOf(call.message.srcId, call.chain))?.onCancelled(call);
  }

  private use(source: number, id: number): Chain | undefined {
    const key = keyOf(source, id);
    const chain = this.#chains.get(key);
    if (chain !== undefined) {
      this.#chains.delete(key);
      this.#chains.set(key, chain);
    }
    return chain;
  }
}

class Chain {
  #failure: CallError | undefined;
  #running: Call | undefined;
  readonly #steps: (Step | "reset")[] = [];

  add(step: Step | "reset"): void {
    this.#steps.push(step);
    this.advance();
  }

  onCancelled(call: Call): void {
    // A generator is only asked to end, and those behind it wait for that.
    if (call !== this.#running || isStreamLeft(call.cancelReason)) return;
    // Those behind it need not wait for a function that does not look at its signal.
    this.#failure ??= callErrorFrom(call.cancelReason);
    this.advance();
  }

  private advance(): void {
    for (;;) {
      const [step] = this.#steps;
      const mayGo = this.#running === undefined || (step !== "reset" && this.#failure !== undefined);
      if (step === undefined || !mayGo) return;
      this.#steps.shift();
      if (step === "reset") this.#failure = undefined;
      else if (this.#failure !== undefined) void step.perform(this.#failure);
      else this.start(step);
    }
  }

  private start({ call, perform }: Step): void {
    this.#running = call;
    const outcome = perform();
    if (outcome instanceof Promise) void outcome.then((settled) => this.end(call, settled));
    else this.end(call, outcome);
  }

  private end(call: Call, outcome: Outcome): void {
    this.#running = undefined;
    if (!isStreamLeft(call.cancelReason)) this.#failure ??= outcome;
    this.advance();
  }
}

function keyOf(source: number, id: number): string {
  return `${source}:${id}`;
}

function forgotten(): MitogenError {
  return new MitogenError(
    `Cannot run call: its chain is not known here, there were more than ${MAX_CHAINS}; reset() it, and dispose of chains that are done`,
  );
}
