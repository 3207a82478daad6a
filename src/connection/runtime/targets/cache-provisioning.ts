import { ProvisionFailure, type ProvisionTarget, type RuntimePlan } from "../plan.ts";
import { noFolder, notTaken } from "./provision-failures.ts";
import { lookScript, uploadScript } from "./target-script.ts";
import { planFor, type TargetFacts, type TargetFolder, type TargetTalk } from "./target-talk.ts";

/** How many KiB must be free in addition to the runtime itself: for blocks, and a little more. */
const SPARE_KIB = 1024;

/** Uploads under way, by host and folder. A later connect waits, and then finds the runtime there. */
const uploads: Map<string, { readonly ended: Promise<void>; readonly waiting: Set<ProvisionTarget> }> =
  new Map();

/** How many uploads have ended, and which of them was the last one of a host and folder. */
let endCount = 0;
const lastEnds: Map<string, number> = new Map();
/** The most hosts that are remembered. If one is forgotten, there may be one more upload. */
const MAX_ENDS = 1000;

function noteEnd(key: string): void {
  uploads.delete(key);
  if (lastEnds.size >= MAX_ENDS) lastEnds.clear();
  lastEnds.set(key, ++endCount);
}

/**
 * Gives one target a node that it keeps in a folder of its user: uses the one that is there, or uploads one. Whatever
 * the target says is only a claim. It decides only what is sent to the target itself, and what an error shows.
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
    // An upload may have ended while this target was being checked.
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

/** Starts a runtime that is there, and returns undefined. Otherwise returns what the target reports about itself. */
async function look(
  target: ProvisionTarget,
  talk: TargetTalk,
  plans: readonly RuntimePlan[],
): Promise<TargetFacts | undefined> {
  target.command(lookScript(target.nonce, plans));
  // If there is one, node starts at once, and the bytes that start a context have already arrived.
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

/** The first folder that has room. Throws a {@link ProvisionFailure} that says what is wrong with each. */
function chooseFolder(folders: readonly TargetFolder[], { rawBytes }: RuntimePlan): TargetFolder {
  const neededKib = Math.ceil(rawBytes / 1024) + SPARE_KIB;
  const found = folders.find(
    ({ why, freeKib }) => why === undefined && (freeKib === undefined || freeKib >= neededKib),
  );
  if (found === undefined) throw noFolder(folders, neededKib);
  return found;
}
