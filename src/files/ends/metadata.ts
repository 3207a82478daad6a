import type { Stats } from "node:fs";
import { ProtocolError } from "../../errors.ts";

/** What is known of a file beside its bytes. */
export interface FileMetadata {
  /** In bytes, when it was opened. */
  readonly size: number;
  /** Permissions: 0o7777 of them. */
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

/** What comes in front of the bytes. */
export interface Start {
  /** How many bytes the receiving side has already. */
  readonly at: number;
  /** Of the whole; undefined when it is not known before the end. */
  readonly size: number | undefined;
  /** Undefined when the source is no file. */
  readonly metadata: FileMetadata | undefined;
}

export function metadataOf({ size, mode, uid, gid, mtimeMs, atimeMs }: Stats): FileMetadata {
  return { size, mode: mode & 0o7777, uid, gid, mtimeMs, atimeMs };
}

/** The first message of a transfer. Throws a ProtocolError: what a child sends decides what is done to a file here. */
export function checkStart(value: unknown, offered: number): Start {
  const { at, size, metadata } = (typeof value === "object" && value !== null ? value : {}) as Partial<Start>;
  const isStart =
    (at === 0 || at === offered) &&
    (size === undefined || (isCount(size) && size >= at)) &&
    (metadata === undefined || isMetadata(metadata));
  if (!isStart) throw new ProtocolError("Cannot receive a file: the transfer begins with something else");
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
