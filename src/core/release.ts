import { MessageChannel } from "node:worker_threads";

/** What a message holds beside its chunk. */
const MAX_HEAD_BYTES = 64;

let closed: MessageChannel["port1"] | undefined;

/**
 * Gives the memory of a chunk back at once. It is not on V8's heap, so that V8 sees no hurry in collecting it: 32 to 64 MiB of it pile
 * up. Only where nothing else is in that memory, and nobody uses it any more.
 */
export function release({ buffer, length }: Uint8Array): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength > length + MAX_HEAD_BYTES || length === 0) return;
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
