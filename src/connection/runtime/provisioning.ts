import { createGunzip } from "node:zlib";
import {
  CHUNK_BYTES,
  ProvisionFailure,
  type ProvisionTarget,
  type Provisioning,
  type RuntimePlan,
  type RuntimeSupply,
} from "./plan.ts";
import { FOLDER_COUNT, lookScript, uploadScript } from "./target-script.ts";

/** What a target says at most before it is no longer listened to. */
const MAX_SAID = 200;
/** Blocks and a little more, in KiB: so much must be free beyond the runtime itself. */
const SPARE_KIB = 1024;

/** A folder of the target. */
interface Folder {
  readonly index: number;
  path: string;
  /** Undefined where `df` does not tell. */
  freeKib: number | undefined;
  /** Why it is not to be used. */
  why: string | undefined;
}

/** What a target has said of itself. */
interface Facts {
  readonly folders: readonly Folder[];
  readonly tools: readonly string[];
  readonly libc: string;
  readonly host: string;
}

/** Uploads under way, by host and folder: who comes later waits, and finds it there. */
const uploads: Map<string, { readonly ended: Promise<void>; readonly waiting: Set<ProvisionTarget> }> = new Map();

/**
 * Gives one target a node that it keeps in a folder of its user's: takes what is there, or uploads it. Everything the target says is only a claim: it
 * decides what the target itself is sent, and what is shown in an error.
 */
export class CacheProvisioning implements Provisioning {
  readonly #target: ProvisionTarget;
  readonly #supply: RuntimeSupply;
  #said: string[] = [];
  #saidCount = 0;
  #wake: (() => void) | undefined;

  constructor(target: ProvisionTarget, supply: RuntimeSupply) {
    this.#target = target;
    this.#supply = supply;
    this.run().catch((error) => target.fail(failureOf(error)));
  }

  said(text: string): void {
    // A target that goes on and on is not understood.
    if (++this.#saidCount > MAX_SAID) return;
    this.#said.push(text);
    this.#wake?.();
  }

  private async run(): Promise<void> {
    const plans = await this.within(this.#supply.choose(this.#target.system));
    this.#target.progress();
    let facts = await this.look(plans);
    if (facts === undefined) return;
    const folder = chooseFolder(facts.folders, plans[0] as RuntimePlan);
    const plan = plans.find(({ libc }) => (libc === "musl") === (facts?.libc === "musl")) ?? (plans[0] as RuntimePlan);
    const key = `${facts.host} ${folder.path} ${plan.hash}`;
    for (let other = uploads.get(key); other !== undefined; other = uploads.get(key)) {
      other.waiting.add(this.#target);
      await this.within(other.ended).finally(() => other?.waiting.delete(this.#target));
      facts = await this.look(plans);
      if (facts === undefined) return;
    }
    const waiting = new Set<ProvisionTarget>();
    const uploading = this.upload(plan, folder, facts.tools, waiting);
    const ended = uploading.catch(() => undefined).finally(() => uploads.delete(key));
    uploads.set(key, { ended, waiting });
    await uploading;
  }

  /** Starts what is there; undefined if it was. */
  private async look(plans: readonly RuntimePlan[]): Promise<Facts | undefined> {
    this.#target.command(lookScript(this.#target.nonce, plans));
    // If there is one, node is started at once, and what starts a context has arrived.
    this.#target.boot();
    const folders: Folder[] = [];
    let tools: string[] = [];
    let libc = "";
    let host = "";
    for (;;) {
      const [kind = "", ...words] = (await this.next()).split(" ");
      const rest = words.join(" ");
      const folder = folders.at(-1);
      if (kind === "r") return undefined;
      if (kind === ".") return { folders, tools, libc, host };
      if (kind === "i" && folders.length < FOLDER_COUNT) {
        folders.push({ index: Number(rest), path: "", freeKib: undefined, why: undefined });
      } else if (kind === "p" && folder !== undefined) folder.path = rest;
      else if (kind === "x" && folder !== undefined) folder.why = rest === "" ? "no reason was given" : rest;
      else if (kind === "f" && folder !== undefined) folder.freeKib = /^\d+$/.test(rest) ? Number(rest) : undefined;
      else if (kind === "t") tools = words;
      else if (kind === "l") libc = rest;
      else if (kind === "h") host = rest;
    }
  }

  private async upload(
    plan: RuntimePlan,
    folder: Folder,
    tools: readonly string[],
    waiting: ReadonlySet<ProvisionTarget>,
  ): Promise<void> {
    if (!tools.includes("head")) {
      throw new ProvisionFailure("ERR_PROVISION", "the target has no head, which takes the runtime", "install coreutils or busybox there");
    }
    const isPacked = tools.includes("gzip");
    const totalBytes = isPacked ? plan.packedBytes : plan.rawBytes;
    this.#target.bootLater();
    this.#target.command(
      uploadScript(this.#target.nonce, { plan, folder: folder.index, bytes: totalBytes, isPacked, tools }),
    );
    const answer = this.next();
    answer.catch(() => undefined); // awaited below
    let isAnswered = false;
    void answer.then(
      () => {
        isAnswered = true;
      },
      () => undefined,
    );
    let sentBytes = 0;
    for await (const chunk of isPacked ? this.packed(plan) : unpacked(this.packed(plan))) {
      await this.within(this.#target.send(chunk));
      sentBytes += chunk.length;
      this.#target.progress(sentBytes, totalBytes);
      for (const other of waiting) other.progress();
      // It has failed: the rest is of no use.
      if (isAnswered) break;
    }
    const said = await answer;
    this.#target.progress();
    if (!said.startsWith("r ")) throw failedUpload(said, folder, plan);
  }

  private async *packed(plan: RuntimePlan): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < plan.packedBytes; offset += CHUNK_BYTES) {
      yield await this.within(this.#supply.read(plan, offset));
    }
  }

  /** The next thing the target says. */
  private async next(): Promise<string> {
    while (this.#said.length === 0) {
      await this.within(
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
      );
    }
    return this.#said.shift() as string;
  }

  /** As long as the connect goes on. */
  private within<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#target.over]);
  }
}

async function* unpacked(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const feeding = feed(packed, gunzip);
  feeding.catch((error) => gunzip.destroy(error));
  yield* gunzip;
  await feeding;
}

async function feed(packed: AsyncIterable<Uint8Array>, gunzip: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of packed) {
    if (gunzip.write(chunk)) continue;
    await new Promise((resolve) => gunzip.once("drain", resolve));
  }
  gunzip.end();
}

/** The first that has room. Throws a {@link ProvisionFailure} that tells of each what is wrong with it. */
function chooseFolder(folders: readonly Folder[], { rawBytes }: RuntimePlan): Folder {
  const neededKib = Math.ceil(rawBytes / 1024) + SPARE_KIB;
  const usable = folders.filter(({ why }) => why === undefined);
  const roomy = usable.find(({ freeKib }) => freeKib === undefined || freeKib >= neededKib);
  if (roomy !== undefined) return roomy;
  const said = folders.map(
    ({ path, why, freeKib }) => `${path}: ${why ?? `only ${Math.floor((freeKib ?? 0) / 1024)} MiB free`}`,
  );
  const needed = `${Math.ceil(neededKib / 1024)} MiB`;
  if (usable.length > 0) {
    throw new ProvisionFailure(
      "ERR_NO_SPACE",
      `no folder of the target has the ${needed} that node takes (${said.join("; ")})`,
      "make room there, name a folder with XDG_CACHE_HOME, or install node",
    );
  }
  throw new ProvisionFailure(
    "ERR_PROVISION",
    `no folder of the target can hold a node (${said.join("; ") || "it has named none"})`,
    'have one that can be written to and run from, name it with XDG_CACHE_HOME, pass provision: "memory", or install node there',
  );
}

/** Of what a target says when an upload has failed: `e KIND TEXT`. */
function failedUpload(said: string, { path }: Folder, plan: RuntimePlan): ProvisionFailure {
  const [, kind = "", text = ""] = /^e (\w+) ?(.*)$/.exec(said) ?? [];
  if (/no space left|disk quota|file too large/i.test(text)) {
    return new ProvisionFailure("ERR_NO_SPACE", `there is no room for node in ${path}: ${text}`, "make room there, or name another folder with XDG_CACHE_HOME");
  }
  if (kind === "sum") {
    return new ProvisionFailure("ERR_PROVISION", `what has arrived in ${path} is not what was sent`, "connect again; if it stays so, see the disk and the network of the target");
  }
  if (kind === "run") {
    const isForbidden = /not permitted|permission denied/i.test(text);
    const hint = isForbidden
      ? "see what SELinux, AppArmor or fapolicyd say there, and whether the mount option noexec is set"
      : `name one that runs there: runtimes: { "${plan.platform}-${plan.arch}": … }`;
    return new ProvisionFailure(isForbidden ? "ERR_POLICY" : "ERR_NO_RUNTIME", `node ${plan.version} does not run in ${path} of the target: ${text}`, hint);
  }
  return new ProvisionFailure("ERR_PROVISION", `node could not be written to ${path} of the target: ${text || said}`, "see that folder");
}

function failureOf(error: unknown): ProvisionFailure {
  if (error instanceof ProvisionFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ProvisionFailure("ERR_PROVISION", `no node could be brought: ${message}`, "");
}
