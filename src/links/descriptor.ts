/** Short cuts around Node's streams: reads and writes of a descriptor that cost less. */
import { writeSync } from "node:fs";
import { Socket, type SocketConstructorOpts } from "node:net";
import type { Writable } from "node:stream";

/** As much as a Linux socket returns at once. */
const READ_BYTES = 256 * 1024;

/**
 * A socket that reads a descriptor. Its chunks are lent: all are in the same memory, and valid until the
 * listener of "data" returns. Node allocates memory for each read, which takes five times as long as the
 * reading itself. https://nodejs.org/api/net.html#new-netsocketoptions
 */
export function openInput(fd: number): Socket {
  const callback = (length: number, memory: Uint8Array): boolean => {
    socket.emit("data", memory.subarray(0, length));
    return true;
  };
  const onread = { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback };
  const options = { fd, readable: true, writable: false, onread } as unknown as SocketConstructorOpts;
  const socket = Object.assign(new Socket(options), { lends: true });
  return socket;
}

/** Whether a stream's chunks are lent. */
export function isLender(stream: object): boolean {
  return "lends" in stream;
}

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
    return 0; // The descriptor is full, has an error, or does not exist.
  }
}
