import { createHash, type Hash } from "node:crypto";
import { promises as fs } from "node:fs";
import { dirname } from "node:path";
import { freeMemory } from "../../links/free-memory.ts";
import { attempt, fileFault } from "./file-error.ts";
import type { Start } from "./metadata.ts";
import { leavePart, openPart, type PartFile, removeLeftParts } from "./part-file.ts";
import type { Sink } from "./sink.ts";
import { CHUNK_BYTES, type Offer } from "./source.ts";

/** After so much the disk begins to take what was written. */
const SYNC_BYTES = 16 * 1024 * 1024;

/** What the written file gets; travels to the side that writes. */
export interface SinkOptions {
  /** Permissions. Default: those of the source, without set-uid, set-gid and sticky; for a stream 0o666 without the umask. */
  readonly mode?: number | undefined;
  /** Default true: where the writing process is root the file gets the source's numeric owner and group. Or who shall own it. */
  readonly owner?: boolean | { readonly uid: number; readonly gid: number } | undefined;
  /** Default true: the file gets the source's times of modification and access. */
  readonly times?: boolean | undefined;
  /** Default true: goes on with what an interrupted transfer to the same name has left, and leaves what came when it fails. */
  readonly resume?: boolean | undefined;
  /**
   * Default true: file and name are on the disk when the transfer is done, fsync(2). False, as with `cp`, `scp` and `rsync`: what was written is
   * left to the system, and a machine that fails within the next half minute may have an empty file under that name.
   */
  readonly sync?: boolean | undefined;
}

/** Begins to write a file; nothing is under its name before `commit`. Rejects with the system's code, `EISDIR` for a directory. */
export async function openFileSink(path: string, options: SinkOptions): Promise<FileSink> {
  const stats = await fs.stat(path).catch(() => undefined);
  if (stats?.isDirectory())
    throw fileFault("EISDIR", `Cannot write ${path}: it is a directory`, path, "sink");
  const partFile = await attempt("write", path, "sink", () => openPart(path, options.resume !== false));
  try {
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let at = 0; at < partFile.size; ) {
      const { bytesRead } = await partFile.file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      hash.update(buffer.subarray(0, bytesRead));
    }
    return new FileSink(path, options, partFile, hash);
  } catch (error) {
    await partFile.file.close();
    leavePart(partFile);
    throw error;
  }
}

/** Writes a file under another name, and renames it when it is complete. */
export class FileSink implements Sink {
  readonly path: string;
  readonly offer: Offer;
  readonly hash: Hash;
  readonly #options: SinkOptions;
  readonly #partFile: PartFile;
  #start: Start | undefined;
  #position = 0;
  #unsynced = 0;
  #syncing: Promise<void> | undefined;

  constructor(path: string, options: SinkOptions, partFile: PartFile, hash: Hash) {
    this.path = path;
    this.#options = options;
    this.#partFile = partFile;
    this.hash = hash;
    this.offer = { bytes: partFile.size, sha256: hash.copy().digest("hex") };
  }

  async begin(start: Start): Promise<void> {
    this.#start = start;
    this.#position = start.at;
    await this.attempt(() => this.#partFile.file.truncate(start.at));
  }

  async write(chunk: Uint8Array): Promise<void> {
    let done = 0;
    while (done < chunk.length) {
      const { bytesWritten } = await this.attempt(() =>
        this.#partFile.file.write(chunk, done, chunk.length - done, this.#position),
      );
      done += bytesWritten;
      this.#position += bytesWritten;
    }
    freeMemory(chunk);
    this.#unsynced += done;
    if (this.#options.sync !== false && this.#unsynced >= SYNC_BYTES) this.syncMeanwhile();
  }

  /** So that `commit` does not wait for all of it: the disk is busy already while the rest comes. */
  private syncMeanwhile(): void {
    if (this.#syncing !== undefined) return;
    this.#unsynced = 0;
    // The system tells of a failure only once: it is kept for `commit`.
    this.#syncing = this.#partFile.file.datasync().then(() => {
      this.#syncing = undefined;
    });
    this.#syncing.catch(() => undefined);
  }

  async commit(): Promise<void> {
    const { file, path } = this.#partFile;
    await this.attempt(async () => {
      await this.#syncing;
      await this.applyMetadata();
      if (this.#options.sync !== false) await file.sync();
      await file.close();
      await fs.rename(path, this.path);
    });
    leavePart(this.#partFile);
    if (this.#options.sync !== false) await syncFolder(dirname(this.path));
    await removeLeftParts(this.path);
  }

  async abandon(error: unknown): Promise<void> {
    await this.#syncing?.catch(() => undefined);
    await this.#partFile.file.close().catch(() => undefined);
    const { code } = (error ?? {}) as { code?: unknown };
    // A full disk is not left full, and what was wrong once stays so.
    const isUseless = code === "ENOSPC" || code === "EDQUOT" || code === "ERR_FILE_DIGEST";
    const written = this.#start === undefined ? this.offer.bytes : this.#position;
    if (isUseless || written === 0 || this.#options.resume === false) {
      await fs.unlink(this.#partFile.path).catch(() => undefined);
    }
    leavePart(this.#partFile);
  }

  interrupt(): void {
    // Writing a file does not wait for anybody.
  }

  private async applyMetadata(): Promise<void> {
    const { file } = this.#partFile;
    const { mode, owner = true, times = true } = this.#options;
    const metadata = this.#start?.metadata;
    const ids = typeof owner === "object" ? owner : metadata;
    if (owner !== false && ids !== undefined && (typeof owner === "object" || process.geteuid?.() === 0)) {
      await file.chown(ids.uid, ids.gid);
    }
    // The source is a child's word, and what runs with its owner's rights is made by nobody's word.
    await file.chmod(mode ?? (metadata === undefined ? 0o666 & ~process.umask() : metadata.mode & 0o777));
    if (times && metadata !== undefined) await file.utimes(metadata.atimeMs / 1e3, metadata.mtimeMs / 1e3);
  }

  private attempt<T>(operation: () => Promise<T>): Promise<T> {
    return attempt("write", this.path, "sink", operation);
  }
}

/** So that the new name survives a power failure; some file systems do not know that. */
async function syncFolder(path: string): Promise<void> {
  const file = await fs.open(path, "r").catch(() => undefined);
  await file?.sync().catch(() => undefined);
  await file?.close();
}
