import { writeSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";

/**
 * Writes past the queue of a socket while that is empty: a request of Node's for each write takes longer than the write. Answers how much the
 * operating system has taken; 0 where this cannot be done, or not now. What is wrong with the descriptor the socket's own write finds out.
 */
export function writeNow(stream: Writable, bytes: Uint8Array): number {
  // It does not block: Node sees to that.
  const { _handle: handle } = stream as { _handle?: { fd?: number } | null };
  return stream instanceof Socket && stream.writableLength === 0 ? tryWrite(handle?.fd, bytes) : 0;
}

export function tryWrite(fd: number | undefined, bytes: Uint8Array): number {
  try {
    return writeSync(fd as number, bytes);
  } catch {
    return 0; // Or there is none.
  }
}
