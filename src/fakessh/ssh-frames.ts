import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { freeMemory } from "../links/free-memory.ts";

/** The frames between the stand-in for ssh and the program: type, length of the body (4 bytes), body. */
export const SshFrame = {
  /** The first frame, from ssh: JSON of {@link SshHello}. */
  HELLO: 1,
  /** From ssh. */
  STDIN: 2,
  STDIN_END: 3,
  /** To ssh. */
  STDOUT: 4,
  STDERR: 5,
  /** The last frame, to ssh: one byte, its exit code. */
  EXIT: 6,
} as const;

export interface SshHello {
  readonly nonce: string;
  readonly argv: readonly string[];
}

/** The longest body: the arguments of a process, or a piece of a stream. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const HEADER_BYTES = 5;

export function encodeSshFrame(type: number, body: Uint8Array | string = ""): Buffer {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return Buffer.concat([sshHeader(type, bytes.length), bytes]);
}

/** Writes a frame; resolves when it was taken, and with that the memory of `body` given back: docs of links/free-memory.ts. */
export function writeSshFrame(stream: Writable, type: number, body: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.cork();
    stream.write(sshHeader(type, body.length));
    stream.write(body, (error) => {
      if (error) return reject(error);
      freeMemory(body);
      resolve();
    });
    stream.uncork();
  });
}

function sshHeader(type: number, length: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(length, 1);
  return header;
}

/**
 * Reads the frames of a socket, however the bytes were cut. Bodies have memory of their own. Throws a
 * RangeError for a body that is too long.
 */
export async function* decodeSshFrames(
  socket: AsyncIterable<Uint8Array>,
): AsyncIterableIterator<[type: number, body: Buffer]> {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerBytes = 0;
  let body: Buffer | undefined;
  let bodyBytes = 0;
  for await (const chunk of socket) {
    for (let at = 0; at < chunk.length; ) {
      if (body === undefined) {
        const part = chunk.subarray(at, at + HEADER_BYTES - headerBytes);
        header.set(part, headerBytes);
        headerBytes += part.length;
        at += part.length;
        if (headerBytes < HEADER_BYTES) break;
        const length = header.readUInt32BE(1);
        if (length > MAX_BODY_BYTES) throw new RangeError(`Cannot decode frame: it has ${length} bytes`);
        body = Buffer.allocUnsafeSlow(length);
      }
      const part = chunk.subarray(at, at + body.length - bodyBytes);
      body.set(part, bodyBytes);
      bodyBytes += part.length;
      at += part.length;
      if (bodyBytes < body.length) break;
      yield [header.readUInt8(0), body];
      headerBytes = 0;
      bodyBytes = 0;
      body = undefined;
    }
    // Other kinds of streams may still use their chunks.
    if (socket instanceof Socket) freeMemory(chunk);
  }
}
