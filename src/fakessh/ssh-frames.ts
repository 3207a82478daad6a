/** What the stand-in for ssh and the program say to each other: type, length of the body (4 bytes), body. */
export const SshFrame = {
  /** First, from ssh: JSON of {@link SshHello}. */
  HELLO: 1,
  /** From ssh. */
  STDIN: 2,
  STDIN_END: 3,
  /** To ssh. */
  STDOUT: 4,
  STDERR: 5,
  /** Last, to ssh: one byte, its exit code. */
  EXIT: 6,
} as const;

export interface SshHello {
  readonly nonce: string;
  readonly argv: readonly string[];
}

/** The arguments of a process, or a piece of a stream. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const HEADER_BYTES = 5;

export function encodeSshFrame(type: number, body: Uint8Array | string = ""): Buffer {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

/** The frames of a stream, however it was cut. Throws a RangeError for one that is too long. */
export async function* decodeSshFrames(
  stream: AsyncIterable<Uint8Array>,
): AsyncIterableIterator<[type: number, body: Buffer]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + rest.readUInt32BE(1);
      if (end > MAX_BODY_BYTES) throw new RangeError(`Cannot decode frame: it has ${end} bytes`);
      if (rest.length < end) break;
      yield [rest.readUInt8(0), rest.subarray(HEADER_BYTES, end)];
      rest = rest.subarray(end);
    }
  }
}
