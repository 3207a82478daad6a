import { createHash } from "node:crypto";
import { constants, promises as fs, type Stats } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { threadId } from "node:worker_threads";

/** Longer names would leave no room for the prefix and suffix: a file name has at most 255 bytes. */
const MAX_NAME_BYTES = 150;

/** The part files of this thread's transfers. */
const active = new Set<string>();
let count = 0;

/** The file to which a transfer writes until it is complete, beside its final name. */
export interface PartFile {
  readonly path: string;
  readonly file: fs.FileHandle;
  /** How many bytes an earlier attempt has written. */
  readonly size: number;
}

/**
 * Opens a part file that nobody else writes to. With `isResuming`, takes the largest that a transfer to the
 * same name has left, if there is one. Otherwise makes a new one. Its name says which process owns it, so
 * that files of killed processes can be recognised.
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

/** Leaves the file for a later transfer to resume. */
export function leavePart({ path }: PartFile): void {
  active.delete(path);
}

/** Removes the files of earlier attempts. Never rejects, because leaving them is harmless. */
export async function removeLeftParts(finalPath: string): Promise<void> {
  for (const { path } of await leftParts(finalPath).catch(() => []))
    await fs.unlink(path).catch(() => undefined);
}

async function create(path: string): Promise<PartFile> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  return { path, file: await fs.open(path, flags, 0o600), size: 0 };
}

/** Claims a file by renaming it: of several processes that try, one succeeds. */
async function claim(finalPath: string, path: string): Promise<PartFile | undefined> {
  for (const left of await leftParts(finalPath)) {
    try {
      await fs.rename(left.path, path);
    } catch {
      continue; // another process was faster
    }
    // A transfer that was killed at its end may have left one that its own user may no longer write.
    const file = await fs.open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch((error) => {
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    });
    if (file !== undefined) {
      const stats = await file.stat();
      if (isOurs(stats)) return { path, file, size: stats.size };
      await file.close();
    }
    await fs.unlink(path);
  }
  return undefined;
}

/** The part files that nobody writes to any more, the largest first. */
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

/**
 * Checked because in a folder that others may write to, a name proves nothing. Links and files of others are
 * not written to.
 */
function isOurs(stats: Stats): boolean {
  return stats.isFile() && stats.nlink === 1 && stats.uid === (process.geteuid?.() ?? stats.uid);
}

function isAlive(pid: number, thread: number): boolean {
  // Within this process, only this thread's active files are known.
  if (pid === process.pid) return thread !== threadId;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH";
  }
}

/** The prefix names the machine, because pids are unique on one machine only. */
function prefixOf(finalPath: string): string {
  const name = basename(finalPath);
  const short = Buffer.byteLength(name) > MAX_NAME_BYTES ? sha256(name).slice(0, 32) : name;
  return `.${short}.mitogen-${sha256(hostname()).slice(0, 8)}-`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
