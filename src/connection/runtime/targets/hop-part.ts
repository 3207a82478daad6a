import {
  CHUNK_BYTES,
  type ProvisionCode,
  ProvisionFailure,
  type Provisioning,
  type ProvisionMode,
  type ProvisionProgress,
  type ProvisionTarget,
  type RuntimePlan,
  type RuntimeSupply,
} from "../plan.ts";
import { provisionerOf } from "./provisioner.ts";

/** How many packs are kept at once, and for how long after the last use: they are large. */
const MAX_PACKS = 4;
const KEPT_MS = 60_000;
/** So many chunks are on their way at once: they cross a link that may be long. */
const AHEAD = 8;
const MAX_CHUNKS = 10_000;

/** Asks another context for something at GET_RUNTIME. */
export type Ask = (contextId: number, request: readonly unknown[]) => Promise<unknown>;

/**
 * What a context does whose children are to get a node. It travels when the first one is: runtimes are chosen
 * by the program, and come from the context above, each once, however many targets get them.
 */
export class HopRuntimes implements RuntimeSupply {
  readonly #ask: Ask;
  readonly #parentId: () => number;
  readonly #packs: Map<string, { readonly chunks: Map<number, Promise<Uint8Array>>; timer: NodeJS.Timeout }> =
    new Map();

  constructor(ask: Ask, parentId: () => number) {
    this.#ask = ask;
    this.#parentId = parentId;
  }

  provisioner(
    mode: ProvisionMode,
    onStep: (progress: ProvisionProgress | undefined) => void,
  ): (target: ProvisionTarget) => Provisioning {
    return provisionerOf(mode, this, onStep);
  }

  async choose(system: string): Promise<readonly RuntimePlan[]> {
    const answer = await this.#ask(0, ["choose", system]);
    const { plans, failed } = Object(answer) as {
      plans?: readonly RuntimePlan[];
      failed?: readonly [ProvisionCode, string, string];
    };
    if (failed !== undefined) throw new ProvisionFailure(...failed);
    return plans as readonly RuntimePlan[];
  }

  /** Also for those below, who name the hash and the length alone. */
  async read(
    { hash, packedBytes }: Pick<RuntimePlan, "hash" | "packedBytes">,
    offset: number,
  ): Promise<Uint8Array> {
    const pack = this.#packOf(hash);
    for (let ahead = 0; ahead <= AHEAD; ahead++) {
      const at = offset + ahead * CHUNK_BYTES;
      if (at < packedBytes) this.#fetch(pack.chunks, hash, packedBytes, at);
    }
    const bytes = await pack.chunks.get(offset);
    if (!(bytes instanceof Uint8Array))
      throw new Error("Cannot bring a runtime: what came is no part of one");
    return bytes;
  }

  #fetch(chunks: Map<number, Promise<Uint8Array>>, hash: string, packedBytes: number, at: number): void {
    if (chunks.has(at)) return;
    if (chunks.size >= MAX_CHUNKS) throw new RangeError("Cannot bring a runtime: it is too large");
    const asked = this.#ask(this.#parentId(), ["read", hash, packedBytes, at]) as Promise<Uint8Array>;
    chunks.set(at, asked);
    // The next one who needs it asks again. A context below that names what there is not keeps no place.
    asked.catch(() => {
      chunks.delete(at);
      if (chunks.size === 0 && this.#packs.get(hash)?.chunks === chunks) this.#packs.delete(hash);
    });
  }

  #packOf(hash: string): { readonly chunks: Map<number, Promise<Uint8Array>> } {
    const known = this.#packs.get(hash);
    const forget = (): void => void this.#packs.delete(hash);
    if (known !== undefined) {
      clearTimeout(known.timer);
      known.timer = setTimeout(forget, KEPT_MS);
      known.timer.unref();
      return known;
    }
    if (this.#packs.size >= MAX_PACKS)
      throw new RangeError("Cannot bring a runtime: too many are brought at once");
    const pack = { chunks: new Map<number, Promise<Uint8Array>>(), timer: setTimeout(forget, KEPT_MS) };
    pack.timer.unref();
    this.#packs.set(hash, pack);
    return pack;
  }
}
