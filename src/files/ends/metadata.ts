import type { Stats } from "node:fs";
import { ProtocolError } from "../../errors.ts";

/** The metadata of a file. */
export interface FileMetadata {
  /** In bytes, at the time it was opened. */
  readonly size: number;
  /** The permission bits, 0o7777. */
  readonly mode: number;
  /** The owner's id on the machine of the file. */
  readonly uid: number;
  /** The group's id on the machine of the file. */
  readonly gid: number;
  /** Milliseconds since 1970. */
  readonly mtimeMs: number;
  /** Milliseconds since 1970. */
  readonly atimeMs: number;
}

/** The message before the bytes. */
export interface Start {
  /** How many bytes the receiving side already has. */
  readonly at: number;
  /** The whole size. Undefined if it is not known before the end. */
  readonly size: number | undefined;
  /** Undefined if the source is no file. */
  readonly metadata: FileMetadata | undefined;
}

export function metadataOf({ size, mode, uid, gid, mtimeMs, atimeMs }: Stats): FileMetadata {
  return { size, mode: mode & 0o7777, uid, gid, mtimeMs, atimeMs };
}

/**
 * Checks the first message of a transfer. Throws a ProtocolError: a child's message decides what is done to a
 * file here.
 */
export function checkStart(value: unknown, offered: number): Start {
  const { at, size, metadata } = (typeof value === "object" && value !== null ? value : {}) as Partial<Start>;
  const isStart =
    (at === 0 || at === offered) &&
    (size === undefined || (isCount(size) && size >= at)) &&
    (metadata === undefined || isMetadata(metadata));
  if (!isStart)
    throw new ProtocolError("Cannot receive a file: the transfer does not begin with the file's metadata");
  return { at, size, metadata };
}

export function isMetadata(value: unknown): value is FileMetadata {
  if (typeof value !== "object" || value === null) return false;
  const { size, mode, uid, gid, mtimeMs, atimeMs } = value as FileMetadata;
  return (
    isCount(size) &&
    [mode, uid, gid].every((each) => isCount(each) && each <= 0xffffffff) &&
    [mtimeMs, atimeMs].every((each) => Number.isFinite(each))
  );
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
