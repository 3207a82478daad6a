import { createHash } from "node:crypto";
import type { Receiver } from "../core/receiver.ts";
import type { Sender } from "../core/sender.ts";
import { ProtocolError } from "../errors.ts";
import { piecesOf } from "../wire/pieces.ts";
import { textOf } from "../wire/values/thrown.ts";
import { fileFault } from "./ends/file-error.ts";
import { checkStart, type Start } from "./ends/metadata.ts";
import type { Sink } from "./ends/sink.ts";
import type { Offer, Source } from "./ends/source.ts";

/** The progress of a transfer. `totalBytes` is undefined while it is unknown. */
export interface Progress {
  /** Bytes that have arrived, including those of an earlier, interrupted transfer. */
  readonly bytes: number;
  /** The length of the whole file in bytes; undefined if the source does not know it. */
  readonly totalBytes: number | undefined;
}

/** The result of a transfer. */
export interface Transfer {
  /** The length of the file in bytes. */
  readonly bytes: number;
  /** The SHA-256 of the file, in hexadecimal digits. Both ends have computed the same. */
  readonly sha256: string;
  /** How many bytes of an earlier attempt were used; 0 if the transfer began anew. */
  readonly resumedAt: number;
}

export type OnProgress = (progress: Progress) => void;

/**
 * The sending half: sends the start, the bytes, and their hash. `signal` ends a wait for a receiver that
 * reads nothing.
 */
export async function send(
  source: Source,
  sender: Sender<unknown>,
  offer: Offer,
  onProgress?: OnProgress,
  signal?: AbortSignal,
): Promise<void> {
  const { size: totalBytes, metadata } = source;
  const known = await source.matching(offer);
  let bytes = known === undefined ? 0 : offer.bytes;
  const hash = known ?? createHash("sha256");
  const bounds = { signal };
  await sender.send({ at: bytes, size: totalBytes, metadata }, bounds);
  onProgress?.({ bytes, totalBytes });
  for await (const chunk of source.chunks(bytes)) {
    for (const piece of piecesOf(chunk, sender.router.maxMessageBytes)) {
      const sent = sender.send(piece, bounds);
      // Hashed while the piece is in transit.
      hash.update(piece);
      await sent;
      bytes += piece.length;
      onProgress?.({ bytes, totalBytes });
    }
  }
  await sender.send(hash.digest("hex"), bounds);
}

/**
 * The receiving half. When it returns, everything has been written and verified, but not committed. The
 * sender is hostile until checked.
 */
export async function receive(
  sink: Sink,
  receiver: Receiver<unknown>,
  onProgress?: OnProgress,
): Promise<Transfer> {
  const start = checkStart((await receiver.get()).decode(), sink.offer.bytes);
  const { at, size: totalBytes } = start;
  const hash = at === 0 ? createHash("sha256") : sink.hash;
  let bytes = at;
  await sink.begin(start);
  onProgress?.({ bytes, totalBytes });
  // Writes one chunk while it waits for the next and hashes it.
  let writing: Promise<void> | undefined;
  try {
    for (;;) {
      const chunk = (await receiver.get()).decode();
      const isChunk = chunk instanceof Uint8Array;
      // More bytes than announced could fill the disk for as long as the sender likes.
      if (isChunk && bytes + chunk.length > (totalBytes ?? Number.POSITIVE_INFINITY)) break;
      if (isChunk) hash.update(chunk);
      if (writing !== undefined) {
        await writing;
        onProgress?.({ bytes, totalBytes });
      }
      if (!isChunk) return verified(chunk, hash.digest("hex"), bytes, start, sink);
      bytes += chunk.length;
      // The sink may free the chunk.
      writing = sink.write(chunk);
      // A sender that is not told of the failure may never send the next chunk.
      writing.catch((error) => receiver.abort(error));
    }
  } finally {
    await writing?.catch(() => undefined);
  }
  throw new ProtocolError(`Cannot receive a file: more than the announced ${totalBytes} bytes arrived`);
}

function verified(sent: unknown, sha256: string, bytes: number, { at, size }: Start, sink: Sink): Transfer {
  if (sent === sha256 && (size === undefined || size === bytes)) return { bytes, sha256, resumedAt: at };
  throw fileFault(
    "ERR_FILE_DIGEST",
    `Cannot write ${sink.path}: what arrived is not what was sent (${bytes} of ${size ?? "?"} bytes, SHA-256 ${sha256}, sent ${textOf(sent).slice(0, 64)})`,
    sink.path,
    "sink",
  );
}
