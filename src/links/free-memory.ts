import { MessageChannel } from "node:worker_threads";
import { HEADER_BYTES } from "../wire/frame.ts";

/** Smaller memory is copied instead of moved, and left to V8. */
export const MOVE_BYTES: number = 16 * 1024;

/** The most bytes before a chunk in memory of its own: the head of its frame, and that of its value. */
const MAX_HEAD_BYTES = HEADER_BYTES + 9;

let closed: MessageChannel["port1"] | undefined;

/**
 * Frees the memory of a chunk at once. The memory is outside V8's heap, so V8 does not hurry to collect it,
 * and 32 to 64 MiB pile up. Frees only memory that holds nothing else, because even a small message that
 * arrived with the chunk may not have been read yet. Nobody may use the chunk afterwards.
 */
export function freeMemory({ buffer, byteOffset, length }: Uint8Array): void {
  const isAlone = byteOffset <= MAX_HEAD_BYTES && byteOffset + length === buffer.byteLength;
  if (!(buffer instanceof ArrayBuffer) || !isAlone || length === 0) return;
  if (closed === undefined) {
    closed = new MessageChannel().port1;
    closed.close();
  }
  try {
    // Memory that is transferred to a closed port is freed.
    closed.postMessage(0, [buffer]);
  } catch {
    // It cannot be transferred. V8 will collect it.
  }
}
