import { writeSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";

/**
 * Bypasses the empty queue of a socket, because Node's request for each write takes longer than the write
 * itself. Returns how many bytes the operating system has taken: 0 if this is not possible, or not now. The
 * socket's own write reports any error of the descriptor.
 */
export function writeNow(stream: Writable, bytes: Uint8Array): number {
  // This does not block, because Node has made the descriptor non-blocking.
  const { _handle: handle } = stream as { _handle?: { fd?: number } | null };
  return stream instanceof Socket && stream.writableLength === 0 ? tryWrite(handle?.fd, bytes) : 0;
}

export function tryWrite(fd: number | undefined, bytes: Uint8Array): number {
  try {
    return writeSync(fd as number, bytes);
  } catch {
    return 0; // Or there is no descriptor.
  }
}
