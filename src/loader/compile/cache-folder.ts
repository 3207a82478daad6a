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

/** If a write would make the folder larger than this, files are removed, beginning with the least recently used. */
const MAX_FOLDER_BYTES = 64 * 1024 * 1024;
/** Larger contents are not kept. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** The least that a file counts. The folder is listed all at once, so it must not hold too many files. */
const BLOCK_BYTES = 16 * 1024;
/** How long a file may be used before its date is renewed. */
const TOUCH_MS = 24 * 60 * 60_000;
/** An incomplete file of this age was left by a program that has been killed. */
const STALE_MS = 60 * 60_000;
const PART = ".part";
const DIGEST_BYTES = 32;
/**
 * The names of this cache's files: a SHA-256 in base64url, or such a name and a suffix for a file being
 * written. The lengths are checked as well.
 */
const OWN_NAME = /^[\w-]+(?:\.[0-9a-f]+\.part)?$/;
const OWN_NAME_LENGTHS: readonly number[] = [43, 61];
/** The write permissions of group and others. */
const WRITABLE_BY_OTHERS = 0o022;
/** In a folder with this bit, users cannot rename or remove each other's files. */
const STICKY = 0o1000;

interface FileUse {
  readonly bytes: number;
  readonly usedMs: number;
}

/**
 * A folder of this user for data that can be made again: `$XDG_CACHE_HOME/mitogen/<name>`, by default
 * `~/.cache/mitogen/<name>`. Several programs may use it at the same time. `MITOGEN_CACHE=off` turns it off.
 *
 * Its contents may become code. So it is used only if nobody else can have written to it: this user owns its
 * folders and files, and no link of another user leads there. Otherwise, and after any failure, the cache
 * behaves as if it were empty. docs/security.md#the-cache
 */
export class CacheFolder {
  readonly #name: string;
  readonly #maxBytes: number;
  /** Valid for this user id, which may change while a program runs. */
  #opened: { readonly path: string; readonly uid: number } | undefined;
  /** The files, as far as this process knows them. Undefined before its first write. */
  #files: Map<string, FileUse> | undefined;

  constructor(name: string, maxBytes: number = MAX_FOLDER_BYTES) {
    this.#name = name;
    this.#maxBytes = maxBytes;
  }

  /** Returns the content kept as `key`. Undefined if there is none that can be trusted. Never throws. */
  read(key: string): Buffer | undefined {
    try {
      const folder = this.#open(false);
      return folder === undefined ? undefined : readOwn(join(folder, key), key);
    } catch {
      return undefined;
    }
  }

  /**
   * Keeps `content` for later programs. `key` is a file name, and must differ for different contents. Never
   * throws.
   */
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
        // The rename is atomic: other programs see the whole file or nothing.
        renameSync(part, join(folder, key));
      } catch (error) {
        unlinkSync(part);
        throw error;
      }
      this.#files?.set(key, { bytes, usedMs: Date.now() });
    } catch {
      // The content is made again the next time.
    }
  }

  /**
   * Returns the path of the folder, for code that keeps files there in a form of its own. Undefined if there is no
   * folder that can be trusted. Never throws.
   */
  path(mayMake: boolean): string | undefined {
    try {
      return this.#open(mayMake);
    } catch {
      return undefined;
    }
  }

  /** The folder's path, if the folder exists and can be trusted. */
  #open(mayMake: boolean): string | undefined {
    const uid = process.geteuid?.();
    if (uid === undefined || process.env.MITOGEN_CACHE === "off") return undefined;
    if (this.#opened?.uid === uid) return this.#opened.path;
    const { XDG_CACHE_HOME = "" } = process.env;
    const base = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), ".cache");
    // If HOME is empty or relative, the folder would be below the working directory, where anybody may have put
    // files.
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
    // Removes more than needed, so that not every write has to remove files.
    const oldest = [...files].sort(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [name, { bytes }] of oldest) {
      if (total <= this.#maxBytes * 0.75) return;
      remove(join(folder, name));
      files.delete(name);
      total -= sizeOf(bytes);
    }
  }
}

/**
 * Makes a folder, but only in a folder of this user: a program run by sudo must leave nothing in the caller's
 * home. Throws the system's errors.
 */
function makeFolder(path: string, uid: number): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined || statSync(dirname(path)).uid !== uid) return;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another program has just made it.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/**
 * Whether the folder belongs to this user. The user may have replaced it by a link. Others may write to the
 * folder of all caches if they cannot rename files of this user.
 */
function isOwnFolder(path: string, uid: number, isShared: boolean): boolean {
  const [entry, folder] = [lstatSync(path), statSync(path)];
  const isClosed = (folder.mode & WRITABLE_BY_OTHERS) === 0 || (isShared && (folder.mode & STICKY) !== 0);
  return entry.uid === uid && folder.uid === uid && folder.isDirectory() && isClosed;
}

/** Reads a file of this user. Throws the system's errors. */
function readOwn(path: string, key: string): Buffer | undefined {
  // Does not follow links, and does not wait for pipes.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & WRITABLE_BY_OTHERS) !== 0)
      return undefined;
    if (stat.size > MAX_FILE_BYTES) return undefined;
    const bytes = readFileSync(fd);
    const content = bytes.subarray(DIGEST_BYTES);
    // The file was cut off by a full disk or a crash of the machine, or copied here under another name.
    if (!digestOf(key, content).equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
    const now = Date.now();
    if (now - stat.mtimeMs > TOUCH_MS) touch(fd, now / 1000);
    return content;
  } finally {
    closeSync(fd);
  }
}

/** Renews the file's date, if the disk is writable. */
function touch(fd: number, seconds: number): void {
  try {
    futimesSync(fd, seconds, seconds);
  } catch {
    // The content is still valid.
  }
}

/** Lists the complete files of a folder. Removes incomplete files that other programs have left. */
function listFiles(folder: string): Map<string, FileUse> {
  const files = new Map<string, FileUse>();
  for (const name of readdirSync(folder)) {
    // Ignores files of others, wherever the folder may be.
    if (!OWN_NAME_LENGTHS.includes(name.length) || !OWN_NAME.test(name)) continue;
    const stat = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (!name.endsWith(PART)) files.set(name, { bytes: stat.size, usedMs: stat.mtimeMs });
    else if (Date.now() - stat.mtimeMs > STALE_MS) remove(join(folder, name));
  }
  return files;
}

/** Removes a file. Another program may have removed it already. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The file is gone, or cannot be removed.
  }
}

function digestOf(key: string, content: Uint8Array): Buffer {
  return createHash("sha256").update(`${key}\n`).update(content).digest();
}
