import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { type FileHandle, mkdtemp, open, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { BLOCK_BYTES, type PackedFile, ProvisionFailure, type RuntimePlan } from "../plan.ts";
import { type Executable, readExecutable } from "./elf.ts";

/**
 * Each piece is compressed by itself, so that several threads work at once; gzip reads the pieces one after the other.
 */
const PIECE_BYTES = 4 * 1024 * 1024;
const PIECES_AT_ONCE = 4;
/** How long a tool may take, or node to print which libraries it has loaded. */
const TOOL_MS = 60_000;

/** Prints which node it is, and all libraries that it has loaded. */
const TELL =
  "process.report.excludeNetwork=true,JSON.stringify([process.version,process.report.getReport().sharedObjects])";

const runFile = promisify(execFile);
const compress = promisify(gzip);

/** The pieces of a pack, in order. */
export type WritePiece = (piece: Buffer) => Promise<void>;

/**
 * Packs an executable, with the libraries that it loads if it runs on this machine. Rejects with a {@link
 * ProvisionFailure} if it is not a node, and with the system's errors.
 */
export async function packRuntime(path: string, write: WritePiece): Promise<RuntimePlan> {
  const executable = await readExecutable(path);
  if (executable === undefined) {
    throw new ProvisionFailure(
      "ERR_NO_RUNTIME",
      `${path} is not a 64-bit executable for Linux`,
      "name a node for the target's system",
    );
  }
  const isOurs = executable.platform === process.platform && executable.arch === process.arch;
  const told = isOurs ? await askNode(path) : undefined;
  const folder = await mkdtemp(join(tmpdir(), "mitogen-pack-"));
  try {
    const stripped = await strip(path, join(folder, "node"), told?.version);
    // Offsets in it may have changed.
    return await packFiles(stripped, (await readExecutable(stripped)) ?? executable, told, write);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Told {
  readonly version: string;
  /** Paths, the loader among them. */
  readonly libraries: readonly string[];
}

/** What a node reports about itself; undefined if it does not run here. */
async function askNode(path: string): Promise<Told | undefined> {
  try {
    // Without the variables for this program's own node.
    const { NODE_OPTIONS: _, NODE_EXTRA_CA_CERTS: __, ...env } = process.env;
    const { stdout } = await runFile(path, ["-p", TELL], { env, timeout: TOOL_MS });
    const [version, objects] = JSON.parse(stdout) as [string, string[]];
    return { version, libraries: objects.filter((each) => each.startsWith("/")) };
  } catch {
    return undefined;
  }
}

/** Removes what only debuggers need. Returns the original if that fails. */
async function strip(path: string, to: string, version: string | undefined): Promise<string> {
  try {
    await runFile("strip", ["-s", "-o", to, path], { timeout: TOOL_MS });
    if (version !== undefined) await runFile(to, ["-v"], { timeout: TOOL_MS });
    return to;
  } catch {
    return path;
  }
}

async function packFiles(
  path: string,
  executable: Executable,
  told: Told | undefined,
  write: WritePiece,
): Promise<RuntimePlan> {
  const loaderPath = told?.libraries.find(
    (each) => /^ld-/.test(basename(each)) || /\/ld-(linux|musl)/.test(each),
  );
  const libraries = told === undefined || loaderPath === undefined ? [] : told.libraries;
  const writer = new PieceWriter(write);
  let at = await writer.addFile(path);
  const packed: PackedFile[] = [];
  for (const library of libraries) {
    const bytes = await writer.addFile(await realpath(library));
    packed.push({ name: basename(library), offset: at, bytes });
    at += bytes;
  }
  const patches = libraries.length === 0 ? undefined : executable.rebase(at);
  if (patches !== undefined) at += await writer.add(Buffer.alloc(BLOCK_BYTES));
  const { hash, packedBytes } = await writer.end();
  return {
    hash,
    platform: executable.platform,
    arch: executable.arch,
    libc: executable.libc,
    version: told?.version ?? "",
    rawBytes: at,
    packedBytes,
    libraries: patches === undefined ? [] : packed,
    own:
      patches === undefined
        ? undefined
        : { loader: basename(loaderPath as string), pathOffset: at - BLOCK_BYTES, patches },
  };
}

/** Collects the bytes to pack, compresses them in pieces, and writes the pieces in order. */
class PieceWriter {
  readonly #write: WritePiece;
  readonly #hash = createHash("sha256");
  readonly #pending: Promise<Buffer>[] = [];
  #packedBytes = 0;

  constructor(write: WritePiece) {
    this.#write = write;
  }

  /** Returns how many bytes it takes, including the zeros after its end. */
  async addFile(path: string): Promise<number> {
    const file = await open(path);
    try {
      const { size } = await stat(path);
      let position = 0;
      while (position < size) {
        const piece = await readPiece(file, position, Math.min(PIECE_BYTES, size - position));
        if (piece.length === 0) throw new Error(`${path} was cut short while it was packed`);
        position += piece.length;
        await this.add(piece);
      }
      const rest = (BLOCK_BYTES - (position % BLOCK_BYTES)) % BLOCK_BYTES;
      if (rest > 0) await this.add(Buffer.alloc(rest));
      return position + rest;
    } finally {
      await file.close();
    }
  }

  async add(piece: Buffer): Promise<number> {
    this.#hash.update(piece);
    const packing = compress(piece, { level: 6 });
    packing.catch(() => undefined); // it is awaited in its turn
    this.#pending.push(packing);
    if (this.#pending.length >= PIECES_AT_ONCE) await this.#writeNext();
    return piece.length;
  }

  async end(): Promise<{ hash: string; packedBytes: number }> {
    while (this.#pending.length > 0) await this.#writeNext();
    return { hash: this.#hash.digest("hex"), packedBytes: this.#packedBytes };
  }

  async #writeNext(): Promise<void> {
    const packed = await (this.#pending.shift() as Promise<Buffer>);
    this.#packedBytes += packed.length;
    await this.#write(packed);
  }
}

async function readPiece(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
