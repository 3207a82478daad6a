import { Socket, type SocketConstructorOpts } from "node:net";

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
