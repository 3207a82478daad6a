import { closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** How much of a script's first line the system reads. */
const FIRST_LINE_BYTES = 256;

/** A program that the system did not start. */
interface Program {
  /** Its name or path, as it was given. */
  readonly file: string;
  /** The variable PATH, which is used for names. */
  readonly path: string | undefined;
  /** The folder in which it would have been started, if another than that of this process. */
  readonly cwd?: string | undefined;
}

/**
 * Says why the system did not start a program, and what to do: the system's error code has many causes, so this looks
 * at the file. Undefined for codes that have nothing to do with the program.
 */
export function startFault(code: string | undefined, program: Program): string | undefined {
  const name = JSON.stringify(program.file);
  switch (code) {
    case "EACCES":
      return refusal(name, find(program), program);
    case "ENOENT":
      return absence(name, find(program), program);
    case "ENOEXEC":
      return `${name} is neither a program for this kind of machine nor a script with a first line such as #!/bin/sh`;
    case "ENOTDIR":
      return `there is no ${name}: a part of the path is a file, not a folder`;
    case "ELOOP":
      return `${name} is a symbolic link that leads to itself`;
    case "ENAMETOOLONG":
      return "the name of the program is too long for the system";
    case "E2BIG":
      return "its arguments and environment are too long for the system; shorten them, or pass data as input";
    default:
      return undefined;
  }
}

/** The file that the system found or would have to find. */
function find({ file, path = "", cwd = "." }: Program): string {
  if (file.includes("/")) return resolve(cwd, file);
  const all = path.split(delimiter).map((folder) => join(resolve(cwd, folder), file));
  return all.find((each) => typeof kindOf(each) === "object") ?? "";
}

/** What the file is; or the code of the error that hides it. */
function kindOf(path: string): { isFolder: boolean; isFile: boolean; isExecutable: boolean } | string {
  try {
    const stat = statSync(path);
    const isExecutable = (stat.mode & (constants.S_IXUSR | constants.S_IXGRP | constants.S_IXOTH)) !== 0;
    return { isFolder: stat.isDirectory(), isFile: stat.isFile(), isExecutable };
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

function refusal(name: string, found: string, program: Program): string {
  const kind = kindOf(found);
  // A folder in PATH that this user may not enter gives this code, too.
  if (kind === "ENOENT") return absence(name, found, program);
  if (kind === "EACCES") return `a folder on the way to ${name} may not be entered by this user`;
  if (typeof kind === "object" && kind.isFolder) return `${name} is a folder; pass the program in it`;
  if (typeof kind === "object" && !kind.isExecutable) {
    return `${name} is not executable; make it so (chmod +x), or run what interprets it (sh ${name})`;
  }
  return `${name} may not be executed by this user; check its permissions and the mount option noexec`;
}

function absence(name: string, found: string, { file, path = "" }: Program): string {
  const kind = kindOf(found);
  if (typeof kind === "object") return incompleteness(name, kind.isFile ? firstLine(found) : "");
  return file.includes("/")
    ? `there is no ${name}`
    : `there is no program ${name} in PATH (${path}); install it, or pass its whole path`;
}

/** Why the system says that a file is missing which is there. */
function incompleteness(name: string, line: string): string {
  const [, interpreter] = /^#![ \t]*([^ \t]+)/.exec(line) ?? [];
  if (interpreter === undefined) {
    return `${name} is there, but the loader that it was linked for is missing: it was built for another system`;
  }
  if (interpreter.endsWith("\r")) {
    return `the first line of ${name} ends with a carriage return; save the script with line ends of Unix`;
  }
  return `there is no ${JSON.stringify(interpreter)}, which the first line of ${name} names as its interpreter`;
}

/** Empty if the file cannot be read. */
function firstLine(path: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    const bytes = Buffer.alloc(FIRST_LINE_BYTES);
    return bytes.toString("latin1", 0, readSync(fd, bytes, 0, bytes.length, 0)).split("\n", 1)[0] as string;
  } catch {
    return "";
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
