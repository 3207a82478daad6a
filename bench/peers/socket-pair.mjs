// A connected pair of sockets, of which ours reads into one buffer. Sockets that child_process makes cannot do that.
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Resolves to `[ours, theirs]`; `onBytes` sees a view of the same buffer every time. */
export async function socketPair(onBytes) {
  const folder = mkdtempSync(join(tmpdir(), "mitogen-bench-"));
  const path = join(folder, "socket");
  try {
    const server = createServer({ pauseOnConnect: true });
    await new Promise((resolve) => server.listen(path, resolve));
    const accepted = new Promise((resolve) => server.once("connection", resolve));
    const ours = connect({ path, onread: intoOneBuffer(onBytes) });
    const theirs = await accepted;
    server.close();
    return [ours, theirs];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** For the `onread` of a socket. */
export function intoOneBuffer(onBytes) {
  const callback = (count, buffer) => {
    onBytes(buffer.subarray(0, count));
    return true;
  };
  return { buffer: Buffer.allocUnsafeSlow(64 * 1024), callback };
}

/**
 * Writes without waiting for the event loop if the kernel takes the bytes now; the socket queues the others.
 */
export function writeNow(socket, bytes) {
  const fd = socket._handle?.fd; // Not public: without it, the socket does everything.
  let done = 0;
  if (fd >= 0 && socket.writableLength === 0) {
    try {
      done = writeSync(fd, bytes);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
  if (done < bytes.length) socket.write(Buffer.from(bytes.subarray(done)));
}
