import { callErrorFrom } from "../../core/call-error.ts";
import { type CallError, MitogenError } from "../../errors.ts";
import { isStreamLeft } from "../caller/reader-left.ts";
import type { Call, Outcome, Perform } from "./dispatcher.ts";

/**
 * The most chains of a context. Programs that never dispose of their chains must not fill its memory, so the
 * least recently used chain is forgotten.
 */
export const MAX_CHAINS = 1000;

interface Step {
  readonly call: Call;
  readonly perform: Perform;
}

/** The target's side of call chains: whose turn it is, and which chains have failed. */
export class Chains {
  /** The least recently used first. */
  readonly #chains: Map<string, Chain> = new Map();

  /** Opens a chain. A known chain forgets its failure, after the calls made before. */
  open(source: number, id: number): void {
    const chain = this.use(source, id) ?? new Chain();
    this.#chains.set(keyOf(source, id), chain);
    chain.add("reset");
    for (const key of this.#chains.keys()) {
      if (this.#chains.size <= MAX_CHAINS) break;
      this.#chains.delete(key);
    }
  }

  /** Forgets a chain. Its waiting calls still get their turn. */
  close(source: number, id: number): void {
    this.#chains.delete(keyOf(source, id));
  }

  /** Forgets all chains of these contexts. */
  closeAll(sources: ReadonlySet<number>): void {
    for (const key of this.#chains.keys()) {
      if (sources.has(Number.parseInt(key, 10))) this.#chains.delete(key);
    }
  }

  /** Performs a call when it is its turn in its chain. A call without a chain runs at once. */
  run(call: Call, perform: Perform): void {
    if (call.chain === null) {
      void perform();
      return;
    }
    const chain = this.use(call.message.srcId, call.chain);
    // Refused, because calls on which it depends may have failed.
    if (chain === undefined) void perform(forgotten());
    else chain.add({ call, perform });
  }

  /** Called when a caller has given up a call, which may belong to a chain. */
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
    // A generator is only asked to end, and the calls after it wait for that.
    if (call !== this.#running || isStreamLeft(call.cancelReason)) return;
    // The calls after it need not wait for a function that ignores its signal.
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
