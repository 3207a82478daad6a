import { randomBytes } from "node:crypto";
import {
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { CacheFolder } from "../../../loader/compile/cache-folder.ts";
import { CHUNK_BYTES, ProvisionFailure, type RuntimePlan } from "../plan.ts";
import { packRuntime } from "./pack.ts";

/** A runtime in the store. */
export interface StoredRuntime extends RuntimePlan {
  /** Added by `addRuntime`, not made of something that this machine has. */
  readonly isAdded: boolean;
  /** The files that it was made of, as they were then: path, size and date. */
  readonly sources: readonly string[];
}

/** An incomplete file that is older than this was left by a program that was killed. */
const STALE_MS = 60 * 60_000;
const PLAN = ".json";
const PACK = ".gz";
const PART = ".part";

/**
 * The runtimes that programs of this user have packed, in `$XDG_CACHE_HOME/mitogen/runtimes`. Each has a pack,
 * `<hash>.gz`, and a description, `<hash>.json`, which is written last. If no folder can be trusted, they are kept in
 * memory while the program runs.
 */
export class RuntimeStore {
  readonly #folder: CacheFolder;
  readonly #inMemory: Map<string, { runtime: StoredRuntime; bytes: Buffer }> = new Map();
  readonly #packing: Map<string, Promise<StoredRuntime>> = new Map();

  constructor(folder: CacheFolder = new CacheFolder("runtimes")) {
    this.#folder = folder;
  }

  list(): StoredRuntime[] {
    const kept = [...this.#inMemory.values()].map(({ runtime }) => runtime);
    const folder = this.#folder.path(false);
    if (folder === undefined) return kept;
    const names = readdirSync(folder).filter((name) => name.endsWith(PLAN));
    return [...kept, ...names.map((name) => readPlan(folder, name)).filter((each) => each !== undefined)];
  }

  /** One by its hash, which may be anything. */
  find(hash: string): StoredRuntime | undefined {
    return this.list().find((each) => each.hash === hash);
  }

  /** Removes all, or those with that hash. Returns how many. Does not disturb programs that are sending one. */
  clear(hash?: string): number {
    let count = 0;
    for (const runtime of this.list()) {
      if (hash !== undefined && runtime.hash !== hash) continue;
      count += 1;
      this.#inMemory.delete(runtime.hash);
      const folder = this.#folder.path(false);
      if (folder === undefined) continue;
      remove(join(folder, runtime.hash + PLAN));
      remove(join(folder, runtime.hash + PACK));
    }
    return count;
  }

  /** Returns the pack of a file: an earlier one, or a new one. Many may ask at once. */
  async packed(path: string, isAdded = false): Promise<StoredRuntime> {
    const source = sourceOf(path);
    const known = this.list().find(({ sources }) => sources.includes(source));
    if (known !== undefined && (known.isAdded || !isAdded)) {
      this.#touch(known);
      return known;
    }
    let packing = this.#packing.get(source);
    if (packing === undefined) {
      packing = this.#pack(path, source, isAdded).finally(() => this.#packing.delete(source));
      this.#packing.set(source, packing);
    }
    return await packing;
  }

  /** The bytes of a pack from `offset` on. Rejects with a {@link ProvisionFailure} if it has gone. */
  async read({ hash, packedBytes }: RuntimePlan, offset: number): Promise<Uint8Array> {
    const length = Math.min(CHUNK_BYTES, packedBytes - offset);
    const kept = this.#inMemory.get(hash);
    if (kept !== undefined) return kept.bytes.subarray(offset, offset + length);
    const chunk = Buffer.allocUnsafe(length);
    try {
      const file = await open(join(this.#folder.path(false) ?? "", hash + PACK));
      const { bytesRead } = await file.read(chunk, 0, length, offset).finally(() => file.close());
      if (bytesRead === length) return chunk;
    } catch (cause) {
      throw gone(hash, cause);
    }
    throw gone(hash);
  }

  async #pack(path: string, source: string, isAdded: boolean): Promise<StoredRuntime> {
    const folder = this.#folder.path(true);
    if (folder === undefined) {
      const pieces: Buffer[] = [];
      const plan = await packRuntime(path, async (piece) => void pieces.push(piece));
      const runtime = { ...plan, isAdded, sources: [source] };
      this.#inMemory.set(plan.hash, { runtime, bytes: Buffer.concat(pieces) });
      return runtime;
    }
    removeStale(folder);
    const part = join(folder, `${randomBytes(8).toString("hex")}${PART}`);
    const file = await open(part, "wx", 0o600);
    try {
      const plan = await packRuntime(path, async (piece) => void (await file.writev([piece])));
      await file.close();
      const before = readPlan(folder, plan.hash + PLAN);
      const runtime = {
        ...plan,
        isAdded: isAdded || before?.isAdded === true,
        sources: [...(before?.sources ?? []).slice(-9), source],
      };
      renameSync(part, join(folder, plan.hash + PACK));
      writePlan(folder, runtime);
      return runtime;
    } catch (error) {
      await file.close().catch(() => undefined);
      remove(part);
      throw error;
    }
  }

  /** It was used. */
  #touch({ hash }: RuntimePlan): void {
    const folder = this.#folder.path(false);
    if (folder === undefined || this.#inMemory.has(hash)) return;
    try {
      const now = Date.now() / 1000;
      utimesSync(join(folder, hash + PACK), now, now);
    } catch {
      // It keeps its date.
    }
  }
}

/** One for all routers of the program: each pack is made once. */
export const runtimeStore: RuntimeStore = new RuntimeStore();

function gone(hash: string, cause?: unknown): ProvisionFailure {
  const failure = new ProvisionFailure(
    "ERR_NO_RUNTIME",
    `the packed runtime ${hash.slice(0, 12)}… has gone from the cache`,
    "connect again: it is packed once more",
  );
  return Object.assign(failure, cause === undefined ? {} : { cause });
}

/** Another file, or the same with other contents, is another source. */
function sourceOf(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `${path}|${size}|${Math.round(mtimeMs)}`;
}

/**
 * The folder and its files belong to this user. Incomplete files, and those of another version of this library, are
 * ignored.
 */
function readPlan(folder: string, name: string): StoredRuntime | undefined {
  try {
    const plan = JSON.parse(readFileSync(join(folder, name), "utf8")) as StoredRuntime;
    if (plan.hash + PLAN !== name || !Array.isArray(plan.libraries) || !Array.isArray(plan.sources))
      return undefined;
    return lstatSync(join(folder, plan.hash + PACK)).size === plan.packedBytes ? plan : undefined;
  } catch {
    return undefined;
  }
}

function writePlan(folder: string, runtime: StoredRuntime): void {
  const part = join(folder, `${randomBytes(8).toString("hex")}${PART}`);
  writeFileSync(part, JSON.stringify(runtime), { mode: 0o600, flag: "wx" });
  renameSync(part, join(folder, runtime.hash + PLAN));
}

function removeStale(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(PART)) continue;
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && Date.now() - stat.mtimeMs > STALE_MS) remove(path);
  }
}

/** Another program may have done it. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Then it is gone, or it stays.
  }
}
