import type { Provisioning, ProvisionTarget, RuntimePlan, RuntimeSupply } from "../plan.ts";
import { CHUNK_BYTES } from "../plan.ts";
import { unpacked } from "./unpacked.ts";

/** The longest report of a target that is read. */
const MAX_SAID = 200;

/** What a target reports about itself: claims. */
export interface TargetFacts {
  readonly folders: readonly TargetFolder[];
  readonly tools: readonly string[];
  readonly libc: string;
  readonly host: string;
}

/** Where a runtime may be kept. */
export interface TargetFolder {
  readonly index: number;
  path: string;
  /** Undefined if `df` does not say. */
  freeKib: number | undefined;
  /** Why it is not to be used. */
  why: string | undefined;
}

/** The conversation with the shell of one target. */
export class TargetTalk implements Provisioning {
  readonly #target: ProvisionTarget;
  readonly #supply: RuntimeSupply;
  readonly #said: string[] = [];
  #saidCount = 0;
  #wake: (() => void) | undefined;

  constructor(target: ProvisionTarget, supply: RuntimeSupply) {
    this.#target = target;
    this.#supply = supply;
  }

  said(text: string): void {
    // A report without end is an error.
    if (++this.#saidCount > MAX_SAID) return;
    this.#said.push(text);
    this.#wake?.();
  }

  /** The next thing it says. */
  async next(): Promise<string> {
    while (this.#said.length === 0) {
      await this.within(
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
      );
    }
    return this.#said.shift() as string;
  }

  /** The target's report about itself; undefined if it has a runtime that it was asked for. */
  async facts(): Promise<TargetFacts | undefined> {
    const folders: TargetFolder[] = [];
    const facts = { folders, tools: [] as string[], libc: "", host: "" };
    for (;;) {
      const [kind = "", ...words] = (await this.next()).split(" ");
      const rest = words.join(" ");
      const folder = folders[folders.length - 1];
      if (kind === "r") return undefined;
      if (kind === ".") return facts;
      if (kind === "i") folders.push({ index: Number(rest), path: "", freeKib: undefined, why: undefined });
      else if (kind === "p" && folder !== undefined) folder.path = rest;
      else if (kind === "x" && folder !== undefined) folder.why = rest === "" ? "no reason was given" : rest;
      else if (kind === "f" && folder !== undefined)
        folder.freeKib = /^\d+$/.test(rest) ? Number(rest) : undefined;
      else if (kind === "t") facts.tools = words;
      else if (kind === "l") facts.libc = rest;
      else if (kind === "h") facts.host = rest;
    }
  }

  /**
   * Sends a runtime, packed or not, and returns the target's report. Stops sending when the target reports. `onSent` is
   * called when a part has been taken.
   */
  async send(plan: RuntimePlan, isPacked: boolean, onSent?: () => void): Promise<string> {
    const answer = this.next();
    answer.catch(() => undefined); // awaited below
    let isAnswered = false;
    const note = (): void => {
      isAnswered = true;
    };
    answer.then(note, note);
    let sentBytes = 0;
    const packed = this.packed(plan);
    for await (const chunk of isPacked ? packed : unpacked(packed)) {
      if (isAnswered) break;
      await this.within(this.#target.send(chunk));
      sentBytes += chunk.length;
      this.#target.progress(sentBytes, isPacked ? plan.packedBytes : plan.rawBytes);
      onSent?.();
    }
    const said = await answer;
    this.#target.progress();
    return said;
  }

  /** Only while the connect goes on. */
  within<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#target.over]);
  }

  private async *packed(plan: RuntimePlan): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < plan.packedBytes; offset += CHUNK_BYTES) {
      yield await this.within(this.#supply.read(plan, offset));
    }
  }
}

/** The one for the libc that the target reports, otherwise the best. */
export function planFor(libc: string, plans: readonly RuntimePlan[]): RuntimePlan {
  const isMusl = libc === "musl";
  return plans.find((plan) => (plan.libc === "musl") === isMusl) ?? (plans[0] as RuntimePlan);
}
