import {
  ProvisionFailure,
  type Provisioning,
  type ProvisionTarget,
  type RuntimePlan,
  type RuntimeSupply,
} from "../plan.ts";
import { failureOf, noFolder, notTaken } from "./provision-failures.ts";
import { lookScript, uploadScript } from "./target-script.ts";
import { type TargetFacts, type TargetFolder, TargetTalk } from "./target-talk.ts";

/** Blocks and a little more, in KiB: so much must be free beyond the runtime itself. */
const SPARE_KIB = 1024;

/** Uploads under way, by host and folder: who comes later waits, and finds the runtime there. */
const uploads: Map<string, { readonly ended: Promise<void>; readonly waiting: Set<ProvisionTarget> }> =
  new Map();

/** How many uploads have ended, and which of them was the last one of a host and folder. */
let endCount = 0;
const lastEnds: Map<string, number> = new Map();
/** The most hosts that are remembered. A forgotten one costs one more upload at worst. */
const MAX_ENDS = 1000;

function noteEnd(key: string): void {
  uploads.delete(key);
  if (lastEnds.size >= MAX_ENDS) lastEnds.clear();
  lastEnds.set(key, ++endCount);
}

/**
 * Gives one target a node that it keeps in a folder of its user's: takes what is there, or uploads it.
 * Everything the target says is only a claim: it decides what the target itself is sent, and what is shown in
 * an error.
 */
export class CacheProvisioning implements Provisioning {
  readonly #target: ProvisionTarget;
  readonly #supply: RuntimeSupply;
  readonly #talk: TargetTalk;

  constructor(target: ProvisionTarget, supply: RuntimeSupply) {
    this.#target = target;
    this.#supply = supply;
    this.#talk = new TargetTalk(target);
    this.run().catch((error) => target.fail(failureOf(error)));
  }

  said(text: string): void {
    this.#talk.said(text);
  }

  private async run(): Promise<void> {
    const target = this.#target;
    const plans = await this.#talk.within(this.#supply.choose(target.system));
    target.progress();
    let seenEnds = endCount;
    let facts = await this.look(plans);
    if (facts === undefined) return;
    const folder = chooseFolder(facts.folders, plans[0] as RuntimePlan);
    const isMusl = facts.libc === "musl";
    const plan = plans.find(({ libc }) => (libc === "musl") === isMusl) ?? (plans[0] as RuntimePlan);
    const key = `${facts.host} ${folder.path} ${plan.hash}`;
    for (;;) {
      const other = uploads.get(key);
      // An upload that has ended while this target was looked at may have been too late for that.
      if (other === undefined && (lastEnds.get(key) ?? 0) <= seenEnds) break;
      if (other !== undefined) {
        const { ended, waiting } = other;
        waiting.add(target);
        await this.#talk.within(ended).finally(() => waiting.delete(target));
      }
      seenEnds = endCount;
      facts = await this.look(plans);
      if (facts === undefined) return;
    }
    const waiting = new Set<ProvisionTarget>();
    const uploading = this.upload(plan, folder, facts.tools, waiting);
    const ended = uploading.catch(() => undefined).then(() => noteEnd(key));
    uploads.set(key, { ended, waiting });
    await uploading;
  }

  /** Starts what is there; undefined if it was. */
  private async look(plans: readonly RuntimePlan[]): Promise<TargetFacts | undefined> {
    this.#target.command(lookScript(this.#target.nonce, plans));
    // If there is one, node is started at once, and what starts a context has arrived.
    this.#target.boot();
    return await this.#talk.facts();
  }

  private async upload(
    plan: RuntimePlan,
    folder: TargetFolder,
    tools: readonly string[],
    waiting: ReadonlySet<ProvisionTarget>,
  ): Promise<void> {
    const target = this.#target;
    if (!tools.includes("head")) {
      throw new ProvisionFailure(
        "ERR_PROVISION",
        "the target has no head, which takes what is sent to it",
        "install coreutils or busybox there, or node",
      );
    }
    const isPacked = tools.includes("gzip");
    const bytes = isPacked ? plan.packedBytes : plan.rawBytes;
    target.bootAfter(true);
    target.command(uploadScript(target.nonce, { plan, folder: folder.index, bytes, isPacked, tools }));
    const said = await this.#talk.send(plan, this.#supply, isPacked, (sentBytes) => {
      target.progress(sentBytes, bytes);
      for (const other of waiting) other.progress();
    });
    target.progress();
    if (!said.startsWith("r ")) throw notTaken(said, folder.path, plan);
  }
}

/** The first that has room. Throws a {@link ProvisionFailure} that tells of each what is wrong with it. */
function chooseFolder(folders: readonly TargetFolder[], { rawBytes }: RuntimePlan): TargetFolder {
  const neededKib = Math.ceil(rawBytes / 1024) + SPARE_KIB;
  const found = folders.find(
    ({ why, freeKib }) => why === undefined && (freeKib === undefined || freeKib >= neededKib),
  );
  if (found === undefined) throw noFolder(folders, neededKib);
  return found;
}
