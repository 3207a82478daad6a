// A child of the tests' own: it greets as a genuine child does (docs/bootstrap.md), and from then on says what
// a test wants it to say. Started as `node <a script that imports this> [words…] <boot words…>`.
import { once } from "node:events";

export const Encoding = { CBOR: 0x4d4a, RAW: 0x4d4b };
const HEADER_BYTES = 26;

/** A frame, docs/protocol.md#frames. Fields that are not given are 0. */
export function frame(
  { encoding = Encoding.CBOR, dst = 0, src = 0, auth = src, handle = 0, replyTo = 0 },
  body = Buffer.alloc(0),
) {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(encoding, 0);
  const words = [dst, src, auth, handle, replyTo, body.length];
  for (const [index, word] of words.entries()) header.writeUInt32BE(word >>> 0, 2 + 4 * index);
  return Buffer.concat([header, body]);
}

/** A value as CBOR: null, booleans, integers up to 32 bits, strings, bytes, arrays, plain objects. */
export function cbor(value) {
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === "boolean") return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (typeof value === "string") {
    const bytes = Buffer.from(value);
    return Buffer.concat([head(3, bytes.length), bytes]);
  }
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  const entries = Object.entries(value);
  return Buffer.concat([head(5, entries.length), ...entries.flat().map(cbor)]);
}

/** A tag of docs/encoding.md#tags around content that is CBOR already. */
export function tagged(tag, content) {
  return Buffer.concat([head(6, tag), content]);
}

function head(major, count) {
  if (count < 24) return Buffer.of((major << 5) | count);
  const bytes = Buffer.alloc(5);
  bytes[0] = (major << 5) | 26;
  bytes.writeUInt32BE(count, 1);
  return bytes;
}

/** Greets the parent. Returns ways to send and to read; `words` are the arguments in front of the boot words. */
export async function greet() {
  // The boot words are `sh -c <stage 0> <nonce> <length> [node]`.
  const at = process.argv.lastIndexOf("-c");
  const [nonce, length] = process.argv.slice(at + 2);
  const words = process.argv.slice(2, at - 1);
  const { version, platform, arch, pid } = process;
  process.stdout.write(`\n${nonce}:ready 1 ${version.slice(1)} ${platform} ${arch} ${pid}\n`);
  const reader = new Reader(process.stdin);
  await reader.bytes(Number(length));
  const { dst: id } = await reader.frame();
  return {
    id,
    words,
    /** Resolves when the pipe has room again. */
    async send(to, body) {
      if (!process.stdout.write(frame({ src: id, ...to }, body))) await once(process.stdout, "drain");
    },
    /** Writes bytes as they are, even if they are no frame. */
    async write(bytes) {
      if (!process.stdout.write(bytes)) await once(process.stdout, "drain");
    },
    /**
     * The next frame that arrives, `{ encoding, dst, src, auth, handle, replyTo, body }`; undefined at
     * the end.
     */
    frame: () => reader.frame(),
    /** Reads all that comes and answers nothing; the process ends when its parent closes the pipe. */
    async swallow() {
      while ((await reader.frame()) !== undefined);
      process.exit(0);
    },
  };
}

class Reader {
  #stream;
  #chunks = [];
  #length = 0;

  constructor(stream) {
    this.#stream = stream[Symbol.asyncIterator]();
  }

  async bytes(count) {
    while (this.#length < count) {
      const { value, done } = await this.#stream.next();
      if (done) return undefined;
      this.#chunks.push(value);
      this.#length += value.length;
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(count)];
    this.#length -= count;
    return all.subarray(0, count);
  }

  async frame() {
    const header = await this.bytes(HEADER_BYTES);
    if (header === undefined) return undefined;
    const [dst, src, auth, handle, replyTo, length] = [0, 1, 2, 3, 4, 5].map((index) =>
      header.readUInt32BE(2 + 4 * index),
    );
    const body = await this.bytes(length);
    if (body === undefined) return undefined;
    return { encoding: header.readUInt16BE(0), dst, src, auth, handle, replyTo, body };
  }
}
