import { ProvisionFailure, type ProvisionTarget, type RuntimePlan } from "../plan.ts";
import { noFolder, notTaken } from "./provision-failures.ts";
import { lookScript, uploadScript } from "./target-script.ts";
import { planFor, type TargetFacts, type TargetFolder, type TargetTalk } from "./target-talk.ts";

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
export async function bringCopy(
  target: ProvisionTarget,
  talk: TargetTalk,
  plans: readonly RuntimePlan[],
): Promise<void> {
  let seenEnds = endCount;
  let facts = await look(target, talk, plans);
  if (facts === undefined) return;
  const plan = planFor(facts.libc, plans);
  const folder = chooseFolder(facts.folders, plan);
  const key = `${facts.host} ${folder.path} ${plan.hash}`;
  for (;;) {
    const other = uploads.get(key);
    // An upload that has ended while this target was looked at may have been too late for that.
    if (other === undefined && (lastEnds.get(key) ?? 0) <= seenEnds) break;
    if (other !== undefined) {
      const { ended, waiting } = other;
      waiting.add(target);
      await talk.within(ended).finally(() => waiting.delete(target));
    }
    seenEnds = endCount;
    facts = await look(target, talk, plans);
    if (facts === undefined) return;
  }
  const waiting = new Set<ProvisionTarget>();
  const uploading = upload(target, talk, plan, folder, facts.tools, waiting);
  const ended = uploading.catch(() => undefined).then(() => noteEnd(key));
  uploads.set(key, { ended, waiting });
  await uploading;
}

/** Starts what is there; undefined if it was. */
async function look(
  target: ProvisionTarget,
  talk: TargetTalk,
  plans: readonly RuntimePlan[],
): Promise<TargetFacts | undefined> {
  target.command(lookScript(target.nonce, plans));
  // If there is one, node is started at once, and what starts a context has arrived.
  target.boot();
  return await talk.facts();
}

async function upload(
  target: ProvisionTarget,
  talk: TargetTalk,
  plan: RuntimePlan,
  folder: TargetFolder,
  tools: readonly string[],
  waiting: ReadonlySet<ProvisionTarget>,
): Promise<void> {
  if (!tools.includes("head")) {
    throw new ProvisionFailure(
      "ERR_PROVISION",
      "the target has no head, which receives the upload",
      "install coreutils or busybox there, or node",
    );
  }
  const isPacked = tools.includes("gzip");
  const bytes = isPacked ? plan.packedBytes : plan.rawBytes;
  target.bootAfter(true);
  target.command(uploadScript(target.nonce, { plan, folder: folder.index, bytes, isPacked, tools }));
  const said = await talk.send(plan, isPacked, () => {
    for (const other of waiting) other.progress();
  });
  if (!said.startsWith("r ")) throw notTaken(said, folder.path, plan);
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
