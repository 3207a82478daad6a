import { createHash } from "node:crypto";
import { constants, promises as fs, type Stats } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { threadId } from "node:worker_threads";

/** Longer names would leave no room for the rest: a name has 255 bytes. */
const MAX_NAME_BYTES = 150;

/** Those that transfers of this thread write to. */
const active = new Set<string>();
let count = 0;

/** A file that a transfer writes to until it is complete, beside its final name. */
export interface PartFile {
  readonly path: string;
  readonly file: fs.FileHandle;
  /** How much of it an earlier attempt has written. */
  readonly size: number;
}

/**
 * Opens one, which nobody else writes to: with `isResuming` the largest that a transfer to the same name has left, else a new one. Its
 * name tells whose it is, so that those of processes that were killed are known.
 */
export async function openPart(finalPath: string, isResuming: boolean): Promise<PartFile> {
  const path = join(dirname(finalPath), `${prefixOf(finalPath)}${process.pid}-${threadId}-${++count}.part`);
  active.add(path);
  try {
    return (isResuming ? await claim(finalPath, path) : undefined) ?? (await create(path));
  } catch (error) {
    active.delete(path);
    throw error;
  }
}

/** Whoever wants to go on with it may. */
export function leavePart({ path }: PartFile): void {
  active.delete(path);
}

/** Removes what earlier attempts have left. Never rejects: it does no harm there. */
export async function removeLeftParts(finalPath: string): Promise<void> {
  for (const { path } of await leftParts(finalPath).catch(() => []))
    await fs.unlink(path).catch(() => undefined);
}

async function create(path: string): Promise<PartFile> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  return { path, file: await fs.open(path, flags, 0o600), size: 0 };
}

/** Renaming is what makes it ours: of several that try, one succeeds. */
async function claim(finalPath: string, path: string): Promise<PartFile | undefined> {
  for (const left of await leftParts(finalPath)) {
    try {
      await fs.rename(left.path, path);
    } catch {
      continue; // somebody else was faster
    }
    const file = await fs.open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    const stats = await file.stat();
    if (isOurs(stats)) return { path, file, size: stats.size };
    await file.close();
    await fs.unlink(path);
  }
  return undefined;
}

/** Those that nobody writes to any more, the largest first. */
async function leftParts(finalPath: string): Promise<{ path: string; size: number }[]> {
  const folder = dirname(finalPath);
  const prefix = prefixOf(finalPath);
  const found: { path: string; size: number }[] = [];
  for (const name of await fs.readdir(folder)) {
    const owner = name.startsWith(prefix) && /^(\d+)-(\d+)-\d+\.part$/.exec(name.slice(prefix.length));
    if (!owner) continue;
    const path = join(folder, name);
    if (active.has(path) || isAlive(Number(owner[1]), Number(owner[2]))) continue;
    const stats = await fs.lstat(path).catch(() => undefined);
    if (stats !== undefined && isOurs(stats)) found.push({ path, size: stats.size });
  }
  return found.sort((a, b) => b.size - a.size);
}

/** In a folder that others may write to, a name proves nothing: a link or somebody's own file is not written to. */
function isOurs(stats: Stats): boolean {
  return stats.isFile() && stats.nlink === 1 && stats.uid === (process.geteuid?.() ?? stats.uid);
}

function isAlive(pid: number, thread: number): boolean {
  // Of this thread the active ones are known; of another thread of this process nothing is.
  if (pid === process.pid) return thread !== threadId;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH";
  }
}

/** Processes are told apart on one machine only. */
function prefixOf(finalPath: string): string {
  const name = basename(finalPath);
  const short = Buffer.byteLength(name) > MAX_NAME_BYTES ? sha256(name).slice(0, 32) : name;
  return `.${short}.mitogen-${sha256(hostname()).slice(0, 8)}-`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
