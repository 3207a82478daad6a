import { type FileHandle, open } from "node:fs/promises";
import { BLOCK_BYTES } from "../plan.ts";

/** The facts about an executable that a runtime needs. */
export interface Executable {
  readonly platform: string;
  readonly arch: string;
  readonly libc: "glibc" | "musl" | "static";
  /** The changes that make it load libraries from its own folder; absent if it has no room for them. */
  rebase(pathOffset: number): readonly { readonly offset: number; readonly hex: string }[] | undefined;
}

const MACHINES: Readonly<Record<number, string>> = {
  62: "x64",
  183: "arm64",
  243: "riscv64",
  21: "ppc64",
  22: "s390x",
  258: "loong64",
};
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_STRTAB = 5;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
const HEADER_BYTES = 64;
/** Of a table; any executable has less. */
const MAX_TABLE_BYTES = 64 * 1024;
/** The loader replaces this by the folder of the executable. */
const OWN_FOLDER = "$ORIGIN\0";

interface Segment {
  readonly type: number;
  /** Of its entry in the table. */
  readonly at: number;
  readonly offset: bigint;
  readonly address: bigint;
  readonly bytes: bigint;
}

/**
 * Reads the headers of a Linux executable (64 bits, little-endian); undefined for what is none. Throws what
 * the system does.
 *
 * An executable names its loader by an absolute path, and the loader looks for libraries where the system has
 * them. `rebase` changes both without moving anything: the kernel is to read the loader's path elsewhere in
 * the file, and one of the spare entries of the dynamic section names `$ORIGIN` as a folder of libraries. The
 * text `$ORIGIN` takes the place of the old path.
 */
export async function readExecutable(path: string): Promise<Executable | undefined> {
  const file = await open(path);
  try {
    return await read(file);
  } finally {
    await file.close();
  }
}

async function read(file: FileHandle): Promise<Executable | undefined> {
  const header = await bytesAt(file, 0n, HEADER_BYTES);
  if (header.length < HEADER_BYTES || header.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return undefined;
  const arch = MACHINES[header.readUInt16LE(18)];
  if (arch === undefined) return undefined;
  const entryBytes = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  const tableAt = header.readBigUInt64LE(32);
  if (entryBytes < 56 || entryBytes * count > MAX_TABLE_BYTES) return undefined;
  const table = await bytesAt(file, tableAt, entryBytes * count);
  if (table.length < entryBytes * count) return undefined;
  const segments = Array.from({ length: count }, (_, i): Segment => {
    const at = i * entryBytes;
    return {
      type: table.readUInt32LE(at),
      at: Number(tableAt) + at,
      offset: table.readBigUInt64LE(at + 8),
      address: table.readBigUInt64LE(at + 16),
      bytes: table.readBigUInt64LE(at + 32),
    };
  });
  const loader = segments.find(({ type }) => type === PT_INTERP);
  if (loader === undefined) {
    return { platform: "linux", arch, libc: "static", rebase: () => undefined };
  }
  const path = (await bytesAt(file, loader.offset, Math.min(Number(loader.bytes), BLOCK_BYTES))).toString(
    "latin1",
  );
  const slot = await findSlot(file, segments);
  return {
    platform: "linux",
    arch,
    libc: /\/ld-musl-/.test(path) ? "musl" : "glibc",
    rebase(pathOffset) {
      if (slot === undefined || loader.bytes < BigInt(OWN_FOLDER.length)) return undefined;
      const entry = Buffer.alloc(16);
      entry.writeBigUInt64LE(BigInt(DT_RPATH), 0);
      // An offset into the table of strings.
      entry.writeBigUInt64LE(BigInt.asUintN(64, loader.address - slot.stringsAt), 8);
      const offset = Buffer.alloc(8);
      offset.writeBigUInt64LE(BigInt(pathOffset));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(BLOCK_BYTES));
      return [
        { offset: Number(loader.offset), hex: Buffer.from(OWN_FOLDER).toString("hex") },
        { offset: slot.at, hex: entry.toString("hex") },
        { offset: loader.at + 8, hex: offset.toString("hex") },
        { offset: loader.at + 32, hex: length.toString("hex") },
      ];
    },
  };
}

/**
 * A spare entry of the dynamic section, or the one that names folders already; and where the table of strings
 * is, in memory.
 */
async function findSlot(
  file: FileHandle,
  segments: readonly Segment[],
): Promise<{ at: number; stringsAt: bigint } | undefined> {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined || dynamic.bytes > MAX_TABLE_BYTES) return undefined;
  const bytes = await bytesAt(file, dynamic.offset, Number(dynamic.bytes));
  let stringsAt: bigint | undefined;
  let named: number | undefined;
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = Number(bytes.readBigUInt64LE(at));
    if (tag === DT_STRTAB) stringsAt = bytes.readBigUInt64LE(at + 8);
    if (tag === DT_RPATH || tag === DT_RUNPATH) named = at;
    if (tag !== DT_NULL) continue;
    // The last one ends the list.
    const slot = named ?? (at + 32 <= bytes.length ? at : undefined);
    if (slot === undefined || stringsAt === undefined) return undefined;
    return { at: Number(dynamic.offset) + slot, stringsAt };
  }
  return undefined;
}

async function bytesAt(file: FileHandle, position: bigint, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, Number(position));
  return buffer.subarray(0, bytesRead);
}
