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

/**
 * How many packs are kept at once, and for how long after the last use: they are large. A further pack replaces the one
 * that was used least recently, but never one that is on its way.
 */
const MAX_PACKS = 4;
const KEPT_MS = 60_000;
/** How many chunks are on their way at once, because the link may be slow. */
const AHEAD = 8;
const MAX_CHUNKS = 10_000;

/** Asks another context for something at GET_RUNTIME. */
export type Ask = (contextId: number, request: readonly unknown[]) => Promise<unknown>;

/** The chunks of a pack that a hop has, or has asked for. */
interface HopPack {
  readonly chunks: Map<number, Promise<Uint8Array>>;
  /** How many of them are on their way. */
  coming: number;
  timer: NodeJS.Timeout;
}

/**
 * The part of a hop whose children get a node. It travels when it is first needed. The program chooses the runtimes.
 * Each comes once from the context above, however many targets get it.
 */
export class HopRuntimes implements RuntimeSupply {
  readonly #ask: Ask;
  readonly #parentId: () => number;
  /** The least recently used one comes first. */
  readonly #packs: Map<string, HopPack> = new Map();

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

  /** Also for contexts below, which name only the hash and the length. */
  async read(
    { hash, packedBytes }: Pick<RuntimePlan, "hash" | "packedBytes">,
    offset: number,
  ): Promise<Uint8Array> {
    // Chunks that overlap would take much more memory than the runtime has.
    if (offset < 0 || offset % CHUNK_BYTES !== 0)
      throw new RangeError("Cannot bring a runtime: it has no such part");
    const pack = this.#packOf(hash);
    for (let ahead = 0; ahead <= AHEAD; ahead++) {
      const at = offset + ahead * CHUNK_BYTES;
      if (at < packedBytes) this.#fetch(pack, hash, packedBytes, at);
    }
    const bytes = await pack.chunks.get(offset);
    if (!(bytes instanceof Uint8Array))
      throw new Error("Cannot bring a runtime: what arrived is not a part of one");
    return bytes;
  }

  #fetch(pack: HopPack, hash: string, packedBytes: number, at: number): void {
    const { chunks } = pack;
    if (chunks.has(at)) return;
    if (chunks.size >= MAX_CHUNKS) throw new RangeError("Cannot bring a runtime: it is too large");
    const asked = this.#ask(this.#parentId(), ["read", hash, packedBytes, at]) as Promise<Uint8Array>;
    chunks.set(at, asked);
    pack.coming += 1;
    const came = (): void => {
      pack.coming -= 1;
    };
    asked.then(came, () => {
      came();
      // The next request asks again. A context below must not fill the table with hashes that do not exist.
      chunks.delete(at);
      if (chunks.size === 0 && this.#packs.get(hash) === pack) this.#forget(hash, pack);
    });
  }

  #packOf(hash: string): HopPack {
    const known = this.#packs.get(hash);
    if (known === undefined && this.#packs.size >= MAX_PACKS) {
      const [idle] = [...this.#packs].filter(([, { coming }]) => coming === 0);
      if (idle === undefined)
        throw new RangeError("Cannot bring a runtime: too many are on their way at once");
      this.#forget(...idle);
    }
    const timer = setTimeout(() => this.#packs.delete(hash), KEPT_MS);
    timer.unref();
    if (known !== undefined) this.#forget(hash, known);
    const pack = Object.assign(known ?? { chunks: new Map<number, Promise<Uint8Array>>(), coming: 0 }, {
      timer,
    });
    this.#packs.set(hash, pack);
    return pack;
  }

  #forget(hash: string, { timer }: HopPack): void {
    clearTimeout(timer);
    this.#packs.delete(hash);
  }
}
