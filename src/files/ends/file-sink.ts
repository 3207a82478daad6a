import { createHash, type Hash } from "node:crypto";
import { promises as fs } from "node:fs";
import { dirname } from "node:path";
import { freeMemory } from "../../links/free-memory.ts";
import { atFile, fileFault } from "./file-error.ts";
import type { Start } from "./metadata.ts";
import { leavePart, openPart, type PartFile, removeLeftParts } from "./part-file.ts";
import type { Sink } from "./sink.ts";
import { CHUNK_BYTES, type Offer } from "./source.ts";

/** After this many bytes, writing to the disk begins. */
const SYNC_BYTES = 16 * 1024 * 1024;

/** The properties of the written file. They travel to the side that writes. */
export interface SinkOptions {
  /**
   * Permissions. By default those of the source, without set-uid, set-gid and sticky; for a stream 0o666
   * without the umask.
   */
  readonly mode?: number | undefined;
  /**
   * The owner to set. True, the default, sets the source's numeric owner and group if the writing process is
   * root.
   */
  readonly owner?: boolean | { readonly uid: number; readonly gid: number } | undefined;
  /** Whether the file gets the source's times of modification and access; true by default. */
  readonly times?: boolean | undefined;
  /**
   * Whether to resume an interrupted transfer to the same name, and to keep the received bytes if this one
   * fails; true by default.
   */
  readonly resume?: boolean | undefined;
  /**
   * Whether file and name are on the disk when the transfer is done, by fsync(2); true by default. False
   * leaves the writing to the system, as `cp`, `scp` and `rsync` do. If the machine then fails within half a minute, an empty
   * file may be left under that name.
   */
  readonly sync?: boolean | undefined;
}

/**
 * Begins to write a file. Nothing appears under its name before `commit`. Rejects with the system's code,
 * `EISDIR` for a directory.
 */
export async function openFileSink(path: string, options: SinkOptions): Promise<FileSink> {
  const stats = await fs.stat(path).catch(() => undefined);
  if (stats?.isDirectory())
    throw fileFault("EISDIR", `Cannot write ${path}: it is a directory`, path, "sink");
  const partFile = await atFile("write", path, "sink", () => openPart(path, options.resume !== false));
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
    await this.atFile(() => this.#partFile.file.truncate(start.at));
  }

  async write(chunk: Uint8Array): Promise<void> {
    let done = 0;
    while (done < chunk.length) {
      const { bytesWritten } = await this.atFile(() =>
        this.#partFile.file.write(chunk, done, chunk.length - done, this.#position),
      );
      done += bytesWritten;
      this.#position += bytesWritten;
    }
    freeMemory(chunk);
    this.#unsynced += done;
    if (this.#options.sync !== false && this.#unsynced >= SYNC_BYTES) this.syncMeanwhile();
  }

  /** Starts to sync, so that the disk is busy while the rest comes, and `commit` waits for less. */
  private syncMeanwhile(): void {
    if (this.#syncing !== undefined) return;
    this.#unsynced = 0;
    // The system reports a failure only once, so it is kept for `commit`.
    this.#syncing = this.#partFile.file.datasync().then(() => {
      this.#syncing = undefined;
    });
    this.#syncing.catch(() => undefined);
  }

  async commit(): Promise<void> {
    const { file, path } = this.#partFile;
    await this.atFile(async () => {
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
    // Removed if the disk is full, and if the bytes were wrong, because they would stay wrong.
    const isUseless = code === "ENOSPC" || code === "EDQUOT" || code === "ERR_FILE_DIGEST";
    const written = this.#start === undefined ? this.offer.bytes : this.#position;
    if (isUseless || written === 0 || this.#options.resume === false) {
      await fs.unlink(this.#partFile.path).catch(() => undefined);
    }
    leavePart(this.#partFile);
  }

  interrupt(): void {
    // Writing a file waits for nobody.
  }

  private async applyMetadata(): Promise<void> {
    const { file } = this.#partFile;
    const { mode, owner = true, times = true } = this.#options;
    const metadata = this.#start?.metadata;
    const ids = typeof owner === "object" ? owner : metadata;
    if (owner !== false && ids !== undefined && (typeof owner === "object" || process.geteuid?.() === 0)) {
      await file.chown(ids.uid, ids.gid);
    }
    // The mode of the source is a child's claim. It must not make a program that runs with its owner's
    // rights.
    await file.chmod(mode ?? (metadata === undefined ? 0o666 & ~process.umask() : metadata.mode & 0o777));
    if (times && metadata !== undefined) await file.utimes(metadata.atimeMs / 1e3, metadata.mtimeMs / 1e3);
  }

  private atFile<T>(operation: () => Promise<T>): Promise<T> {
    return atFile("write", this.path, "sink", operation);
  }
}

/** Syncs the folder, so that the new name survives a power failure. Some file systems cannot do that. */
async function syncFolder(path: string): Promise<void> {
  const file = await fs.open(path, "r").catch(() => undefined);
  await file?.sync().catch(() => undefined);
  await file?.close();
}
