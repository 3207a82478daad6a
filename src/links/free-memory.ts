import { MessageChannel } from "node:worker_threads";
import { HEADER_BYTES } from "../wire/frame.ts";

/** What is smaller is copied where it could be moved, and left to V8. */
export const MOVE_BYTES: number = 16 * 1024;

/** What stands in front of a chunk in memory of its own: the head of its frame, and that of the value, at most. */
const MAX_HEAD_BYTES = HEADER_BYTES + 9;

let closed: MessageChannel["port1"] | undefined;

/**
 * Gives the memory of a chunk back at once. It is not on V8's heap, so that V8 sees no hurry in collecting it: 32 to 64 MiB of it pile
 * up. Only where nothing else is in that memory, for a message that arrived together with it, however small, may not have been read yet;
 * and nobody uses it any more.
 */
export function freeMemory({ buffer, byteOffset, length }: Uint8Array): void {
  const isAlone = byteOffset <= MAX_HEAD_BYTES && byteOffset + length === buffer.byteLength;
  if (!(buffer instanceof ArrayBuffer) || !isAlone || length === 0) return;
  if (closed === undefined) {
    closed = new MessageChannel().port1;
    closed.close();
  }
  try {
    // What is transferred to nobody is freed.
    closed.postMessage(0, [buffer]);
  } catch {
    // It cannot be transferred: V8 collects it some time.
  }
}
