import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

/** When a write would make the folder larger, the files go that were used least recently. */
const MAX_FOLDER_BYTES = 64 * 1024 * 1024;
/** What is larger is not kept. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** What a file counts at least: the folder is listed all at once, so there must not be too many. */
const BLOCK_BYTES = 16 * 1024;
/** How long a file may have been in use without a new date. */
const TOUCH_MS = 24 * 60 * 60_000;
/** After so long, what is incomplete was left by a program that has been killed. */
const STALE_MS = 60 * 60_000;
const PART = ".part";
const DIGEST_BYTES = 32;
/** A SHA-256 in base64url, and a file on its way to that name; by these lengths. */
const OWN_NAME = /^[\w-]+(?:\.[0-9a-f]+\.part)?$/;
const OWN_NAME_LENGTHS: readonly number[] = [43, 61];
/** Group and others. */
const WRITABLE_BY_OTHERS = 0o022;
/** In such a folder nobody renames or removes what is another's. */
const STICKY = 0o1000;

interface FileUse {
  readonly bytes: number;
  readonly usedMs: number;
}

/**
 * A folder of this user's for what can be made again: `$XDG_CACHE_HOME/mitogen/<name>`, by default `~/.cache/mitogen/<name>`. Programs use it
 * side by side. `MITOGEN_CACHE=off` does without.
 *
 * What it holds may become code. So it is used only if nobody else can have written to it: the folders and files are this user's own, and
 * no link of somebody else's leads there. Otherwise, and when anything fails, it is as if it were empty. docs/security.md#the-cache
 */
export class CacheFolder {
  readonly #name: string;
  readonly #maxBytes: number;
  /** Checked for the user of that id, which may change while a program runs. */
  #opened: { readonly path: string; readonly uid: number } | undefined;
  /** What this process knows of the files, from its first write on. */
  #files: Map<string, FileUse> | undefined;

  constructor(name: string, maxBytes: number = MAX_FOLDER_BYTES) {
    this.#name = name;
    this.#maxBytes = maxBytes;
  }

  /** What was kept as `key`; undefined if there is nothing, or nothing that can be trusted. Never throws. */
  read(key: string): Buffer | undefined {
    try {
      const folder = this.#open(false);
      return folder === undefined ? undefined : readOwn(join(folder, key), key);
    } catch {
      return undefined;
    }
  }

  /** Keeps `content` for later programs. `key` is a file's name, and different for different contents. Never throws. */
  write(key: string, content: Uint8Array): void {
    const bytes = DIGEST_BYTES + content.length;
    if (bytes > MAX_FILE_BYTES) return;
    try {
      const folder = this.#open(true);
      if (folder === undefined) return;
      this.#makeRoom(folder, bytes);
      const part = join(folder, `${key}.${randomBytes(6).toString("hex")}${PART}`);
      try {
        writeFileSync(part, Buffer.concat([digestOf(key, content), content]), { mode: 0o600, flag: "wx" });
        // Other programs see all of it or nothing.
        renameSync(part, join(folder, key));
      } catch (error) {
        unlinkSync(part);
        throw error;
      }
      this.#files?.set(key, { bytes, usedMs: Date.now() });
    } catch {
      // It is made again the next time.
    }
  }

  /** The folder itself, for who keeps files there in a form of their own; undefined if there is none that can be trusted. Never throws. */
  path(mayMake: boolean): string | undefined {
    try {
      return this.#open(mayMake);
    } catch {
      return undefined;
    }
  }

  /** The path, if there is such a folder and it can be trusted. */
  #open(mayMake: boolean): string | undefined {
    const uid = process.geteuid?.();
    if (uid === undefined || process.env.MITOGEN_CACHE === "off") return undefined;
    if (this.#opened?.uid === uid) return this.#opened.path;
    const { XDG_CACHE_HOME = "" } = process.env;
    const base = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), ".cache");
    // A home may be empty or relative: then it would be the working directory, whose files may be anybody's work.
    if (!isAbsolute(base)) return undefined;
    const own = join(base, "mitogen");
    const path = join(own, this.#name);
    for (const folder of [base, own, path]) {
      if (mayMake) makeFolder(folder, uid);
      if (!isOwnFolder(folder, uid, folder === base)) return undefined;
    }
    this.#opened = { path, uid };
    return path;
  }

  #makeRoom(folder: string, neededBytes: number): void {
    this.#files ??= listFiles(folder);
    const files = this.#files;
    const sizeOf = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
    let total = sizeOf(neededBytes);
    for (const { bytes } of files.values()) total += sizeOf(bytes);
    if (total <= this.#maxBytes) return;
    // Some more than needed: not each write is to end one file.
    const oldest = [...files].sort(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [name, { bytes }] of oldest) {
      if (total <= this.#maxBytes * 0.75) return;
      remove(join(folder, name));
      files.delete(name);
      total -= sizeOf(bytes);
    }
  }
}

/** Makes a folder in one of this user's: nothing is left in the home of whoever has called sudo. Throws what the system does. */
function makeFolder(path: string, uid: number): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined || statSync(dirname(path)).uid !== uid) return;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another program was faster.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Its owner may have put a link in its place. In the folder of all caches others may write if they cannot rename what is not theirs. */
function isOwnFolder(path: string, uid: number, isShared: boolean): boolean {
  const [entry, folder] = [lstatSync(path), statSync(path)];
  const isClosed = (folder.mode & WRITABLE_BY_OTHERS) === 0 || (isShared && (folder.mode & STICKY) !== 0);
  return entry.uid === uid && folder.uid === uid && folder.isDirectory() && isClosed;
}

/** Throws what the system does. */
function readOwn(path: string, key: string): Buffer | undefined {
  // A link is not followed, a pipe not waited for.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & WRITABLE_BY_OTHERS) !== 0)
      return undefined;
    if (stat.size > MAX_FILE_BYTES) return undefined;
    const bytes = readFileSync(fd);
    const content = bytes.subarray(DIGEST_BYTES);
    // Cut off by a full disk or a crash of the machine, or copied here under another name.
    if (!digestOf(key, content).equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
    const now = Date.now();
    if (now - stat.mtimeMs > TOUCH_MS) touch(fd, now / 1000);
    return content;
  } finally {
    closeSync(fd);
  }
}

/** On a disk that cannot be written to it keeps its date. */
function touch(fd: number, seconds: number): void {
  try {
    futimesSync(fd, seconds, seconds);
  } catch {
    // What it holds is as good as before.
  }
}

/** The complete files of a folder. Removes what others have left incomplete. */
function listFiles(folder: string): Map<string, FileUse> {
  const files = new Map<string, FileUse>();
  for (const name of readdirSync(folder)) {
    // Nothing is touched that is not this cache's, wherever the folder may be.
    if (!OWN_NAME_LENGTHS.includes(name.length) || !OWN_NAME.test(name)) continue;
    const stat = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (!name.endsWith(PART)) files.set(name, { bytes: stat.size, usedMs: stat.mtimeMs });
    else if (Date.now() - stat.mtimeMs > STALE_MS) remove(join(folder, name));
  }
  return files;
}

/** Another program may have done it. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Then it is gone, or it stays.
  }
}

function digestOf(key: string, content: Uint8Array): Buffer {
  return createHash("sha256").update(`${key}\n`).update(content).digest();
}
