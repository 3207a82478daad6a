import { createHash, type Hash } from "node:crypto";
import { constants, promises as fs } from "node:fs";
import { atFile, fileFault } from "./file-error.ts";
import { type FileMetadata, metadataOf } from "./metadata.ts";

/** How many bytes travel in one message. */
export const CHUNK_BYTES: number = 512 * 1024;

/** What the receiving side has from an earlier attempt. */
export interface Offer {
  readonly bytes: number;
  /** The hash of those bytes, in hex. */
  readonly sha256: string;
}

/** The source of the bytes. */
export interface Source {
  /** Undefined if it is not known. */
  readonly size: number | undefined;
  readonly metadata: FileMetadata | undefined;
  /** The hash of the first bytes if they match the offer, otherwise undefined. */
  matching(offer: Offer): Promise<Hash | undefined>;
  /** The bytes from `at` on. A chunk is valid until the next is requested; sending copies it. */
  chunks(at: number): AsyncIterable<Uint8Array>;
  /** Called when nobody wants more. Ends a wait for the next chunk. */
  interrupt(): void;
  close(): Promise<void>;
}

/** Opens a regular file; symbolic links are followed. Rejects with the system's code, `EISDIR`, or `ERR_FILE_TYPE`. */
export async function openFile(path: string): Promise<OpenedFile> {
  // Non-blocking, because a pipe without a writer, or a terminal, must not block a thread of the pool.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await atFile("open", path, "source", () => fs.open(path, flags));
  try {
    const stats = await atFile("read", path, "source", () => file.stat());
    if (stats.isDirectory())
      throw fileFault("EISDIR", `Cannot read ${path}: it is a directory`, path, "source");
    if (!stats.isFile()) {
      throw fileFault("ERR_FILE_TYPE", `Cannot read ${path}: it is not a regular file`, path, "source");
    }
    return new OpenedFile(path, file, metadataOf(stats));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A file, with the length that it had when it was opened. */
export class OpenedFile implements Source {
  readonly metadata: FileMetadata;
  readonly #path: string;
  readonly #file: fs.FileHandle;

  constructor(path: string, file: fs.FileHandle, metadata: FileMetadata) {
    this.#path = path;
    this.#file = file;
    this.metadata = metadata;
  }

  /** Files in /proc report 0 but have content, so they are read to their end. */
  get size(): number | undefined {
    return this.metadata.size || undefined;
  }

  async matching({ bytes, sha256 }: Offer): Promise<Hash | undefined> {
    if (bytes === 0 || bytes > this.metadata.size) return undefined;
    const hash = createHash("sha256");
    for await (const chunk of this.range(0, bytes)) hash.update(chunk);
    return hash.copy().digest("hex") === sha256 ? hash : undefined;
  }

  chunks(at: number): AsyncIterable<Uint8Array> {
    return this.range(at, this.size ?? Number.POSITIVE_INFINITY);
  }

  interrupt(): void {
    // Reading a file waits for nobody.
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Reads one chunk ahead, so that the disk works while a chunk is hashed and sent. */
  private async *range(from: number, to: number): AsyncIterable<Uint8Array> {
    // Two buffers for all chunks, because V8 collects memory outside its heap late.
    let [buffer, other] = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)];
    let at = from;
    let reading = this.read(buffer, at, to);
    try {
      for (;;) {
        const bytesRead = await reading;
        if (bytesRead === 0) return;
        at += bytesRead;
        const chunk = bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
        [buffer, other] = [other, buffer];
        reading = this.read(buffer, at, to);
        reading.catch(() => undefined); // awaited after this chunk
        yield chunk;
      }
    } finally {
      // The file is closed next.
      await reading.catch(() => undefined);
    }
  }

  /** Reads as much as fits into the buffer, up to `to`. Returns 0 at the end. */
  private async read(buffer: Buffer, at: number, to: number): Promise<number> {
    const wanted = Math.min(buffer.length, to - at);
    if (wanted <= 0) return 0;
    const { bytesRead } = await atFile("read", this.#path, "source", () =>
      this.#file.read(buffer, 0, wanted, at),
    );
    if (bytesRead > 0 || to === Number.POSITIVE_INFINITY) return bytesRead;
    throw fileFault(
      "ERR_FILE_CHANGED",
      `Cannot read ${this.#path}: it had ${to} bytes, and now ends after ${at}`,
      this.#path,
      "source",
    );
  }
}

/** Bytes in memory, or the values of an iterable. Cannot be resumed. */
export class StreamSource implements Source {
  readonly size: number | undefined;
  readonly metadata = undefined;
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>;
  readonly #stream: { destroy?(): unknown };

  constructor(
    iterable: { [Symbol.asyncIterator](): AsyncIterator<unknown> } | Iterable<unknown>,
    size?: number,
  ) {
    this.#stream = iterable as { destroy?(): unknown };
    this.#iterator =
      Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]();
    this.size = size;
  }

  async matching(): Promise<undefined> {}

  async *chunks(): AsyncIterable<Uint8Array> {
    for (;;) {
      const { done, value } = await this.#iterator.next();
      if (done === true) return;
      yield* pieces(bytesOf(value));
    }
  }

  interrupt(): void {
    // The iterator of a stream would end only after the next chunk.
    if (typeof this.#stream.destroy === "function") this.#stream.destroy();
    else void Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.interrupt();
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return Buffer.from(value);
  throw new TypeError(`Cannot send a chunk of type ${typeof value}: a source yields Uint8Array or string`);
}

function* pieces(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    yield bytes.subarray(at, at + CHUNK_BYTES);
  }
}
