import { spawnSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { StreamError } from "../errors.ts";
import { anyText } from "../options/option-types.ts";
import { misuse, takeOption } from "../options/options.ts";
import { OWN_NODE } from "../process/own-node.ts";
import { reaper } from "../process/reaper.ts";
import { checkDescriptors, nameLimit } from "../process/system-limits.ts";
import { attempt } from "../wire/values/thrown.ts";

/** The longest path of a socket in bytes: that of sockaddr_un, without the final NUL. */
const MAX_PATH_BYTES = process.platform === "linux" ? 107 : 103;
/**
 * How many may wait to be connected while the program is busy. The system refuses the next one with EAGAIN, and a
 * context does not try again.
 */
const BACKLOG = 256;
/** `mkdtemp` adds six characters. */
const PRIVATE_PREFIX = ".mitogen_";
/** How many times to try a path that other programs also want. */
const MAX_TRIES = 5;
const PROBE_TIMEOUT_MS = 5000;
/** Prints the result of connecting to the path: `live`, or an error's code. */
const PROBE = `const socket = require("net").connect(process.argv[1]);
const tell = (what) => { console.log(what); process.exit(); };
socket.on("connect", () => tell("live")).on("error", ({ code }) => tell(code));`;

/**
 * Makes an error of the file system or the network with our message. Node's error is its `cause`, and its
 * `errno` and `syscall` are kept.
 */
export function socketError(message: string, cause?: unknown): StreamError {
  const { errno, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  return Object.assign(new StreamError(message, { cause }), { errno, syscall });
}

/** A free path for a socket, in the folder for temporary files. */
export function temporarySocketPath(): string {
  return join(tmpdir(), `mitogen_unix_${process.pid}_${Math.random().toString(36).slice(2, 10)}.sock`);
}

/**
 * Makes `server` listen at `path`, for this user only. The socket is made in a private folder and then linked
 * to its place, which fails if something is there. So nobody sees the socket before it has its mode and
 * answers. A dead socket is replaced, a live one or another file never is. Throws a StreamError. Returns a
 * function that removes the socket.
 */
export function listenAt(server: Server, path: string): () => void {
  checkPath(path, "listen at");
  try {
    // One for the socket, and one to remove the folder.
    checkDescriptors(2);
  } catch (error) {
    throw socketError(`Cannot listen at ${path}: ${failureText(error)}`, error);
  }
  const folder = privateFolder(path);
  const made = join(folder, "s");
  try {
    makeSocket(server, made, path);
    const own = lstatSync(made);
    place(made, path);
    return () => removeIfSame(path, own);
  } catch (error) {
    server.close();
    throw error instanceof StreamError
      ? error
      : socketError(`Cannot listen at ${path}: ${failureText(error)}`, error);
  } finally {
    removeFolder(folder, made);
  }
}

/**
 * Makes `server` listen in a new folder that only this user can enter, until it is removed. If the program is
 * killed, the reaper removes the folder. Throws a StreamError.
 */
export function listenPrivately(server: Server): { path: string; remove(): void } {
  const own = process.env.XDG_RUNTIME_DIR || tmpdir();
  const folder = attempt(() => privateFolder(resolve(own, "s"))) ?? privateFolder(resolve(tmpdir(), "s"));
  const path = join(folder, "s");
  // Registered at once: if the program is killed, the reaper removes only what it knows of.
  const forget = reaper.add(folder);
  const remove = (): void => {
    removeFolder(folder, path);
    forget();
  };
  try {
    makeSocket(server, path, path);
  } catch (error) {
    // It may listen already.
    server.close();
    remove();
    throw error;
  }
  return { path, remove };
}

function makeSocket(server: Server, made: string, path: string): void {
  // `exclusive`: even in a worker of a cluster, this process itself listens, so it listens when this call
  // returns.
  server.listen({ path: made, backlog: BACKLOG, exclusive: true });
  if (!server.listening) checkDescriptors(1);
  if (!server.listening) throw socketError(`Cannot listen at ${path}: the socket could not be made`);
  chmodSync(made, 0o600);
}

/**
 * Removes the files by name, because listing the folder takes a descriptor, and there may be none. Never
 * throws, because that would hide why the folder is removed.
 */
function removeFolder(folder: string, socket: string): void {
  for (const remove of [() => unlinkSync(socket), () => rmdirSync(folder)]) {
    try {
      remove();
    } catch {
      // It is gone, or belongs to somebody else by now.
    }
  }
}

/** Throws a StreamError if another user may have made the socket. */
export function checkSocket(path: string): void {
  checkPath(path, "connect to");
  let found: Stats;
  let isSocket: boolean;
  try {
    found = lstatSync(path);
    isSocket = statSync(path).isSocket();
  } catch (error) {
    throw socketError(`Cannot connect to ${path}: ${failureText(error)}`, error);
  }
  // Checked here, because the system would report that nobody listens there.
  if (!isSocket) throw socketError(`Cannot connect to ${path}: it is not a socket`);
  if (isForeign(found.uid)) {
    throw socketError(
      `Cannot connect to ${path}: it belongs to user ${found.uid}, not to ${process.getuid?.()}; connect as that user`,
    );
  }
}

/** Whether the owner is neither this user nor root. */
function isForeign(uid: number): boolean {
  const own = process.getuid?.();
  return own !== undefined && uid !== own && uid !== 0;
}

export function failureText(error: unknown): string {
  const { code, message } = nameLimit(error) as NodeJS.ErrnoException;
  return code === undefined ? message : `${TEXTS[code] ?? message} (${code})`;
}

const TEXTS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  ECONNREFUSED: "nobody listens there",
  EACCES: "permission denied",
  ENOTDIR: "a part of the path is not a folder",
};

function checkPath(path: string, verb: string): void {
  takeOption(`${verb} a socket`, "its path", path, anyText);
  const bytes = Buffer.byteLength(path);
  if (bytes === 0 || path.includes("\0") || bytes > MAX_PATH_BYTES) {
    throw misuse(
      "ERR_OUT_OF_RANGE",
      `Cannot ${verb} ${JSON.stringify(path)}: the path of a socket has 1 to ${MAX_PATH_BYTES} bytes, and no NUL`,
    );
  }
}

/**
 * Makes a private folder beside the path, because a link does not reach another file system. Makes it in the folder
 * for temporary files if the path of the socket would get too long.
 */
function privateFolder(path: string): string {
  const parent = dirname(path);
  const folder = hasRoom(parent) ? parent : resolve(tmpdir());
  try {
    checkFolder(parent, path);
    if (folder !== parent) checkFolder(folder, path);
    // Node 20 and 22 cut a path that is too long. The socket would lie outside the private folder, under another name.
    if (!hasRoom(folder)) {
      throw socketError(
        `Cannot listen at ${path}: the path of ${folder} is too long for sockets in it; set TMPDIR to a shorter one`,
      );
    }
    return mkdtempSync(join(folder, PRIVATE_PREFIX));
  } catch (error) {
    throw error instanceof StreamError
      ? error
      : socketError(`Cannot listen at ${path}: ${failureText(error)}`, error);
  }
}

/** Whether a private folder in `folder` can hold a socket: the path of the socket must not be too long. */
function hasRoom(folder: string): boolean {
  return Buffer.byteLength(join(folder, `${PRIVATE_PREFIX}123456/s`)) <= MAX_PATH_BYTES;
}

/**
 * Refuses a folder in which somebody else could replace our private folder. Throws a StreamError, or the system's
 * error.
 */
function checkFolder(folder: string, path: string): void {
  const { mode, uid } = statSync(folder);
  if (isForeign(uid)) {
    throw socketError(
      `Cannot listen at ${path}: ${folder} belongs to user ${uid}, who may replace what is in it; use a folder of your own`,
    );
  }
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) {
    throw socketError(
      `Cannot listen at ${path}: others may write to ${folder} and replace what is in it; use a folder of your own`,
    );
  }
}

function place(made: string, path: string): void {
  for (let turn = 1; ; turn++) {
    try {
      linkSync(made, path);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST" && turn < MAX_TRIES) removeDead(path);
      else if (code === "EPERM" || code === "ENOTSUP" || code === "EOPNOTSUPP") {
        // The file system has no hard links to sockets (macOS). If another program makes a socket there between
        // these two calls, it is replaced; nothing can prevent that.
        removeDead(path);
        renameSync(made, path);
        return;
      } else throw error;
    }
  }
}

/** Removes a socket at which nobody listens. Throws if anything else is there. */
function removeDead(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw socketError(
      `Cannot listen at ${path}: the path leads to a file that is not a socket; choose another path`,
      exists(path),
    );
  }
  const state = probe(path);
  if (state === "ECONNREFUSED") removeIfSame(path, found);
  else if (state !== "ENOENT") {
    const what =
      state === "live"
        ? "somebody listens there already; choose another path, or connect to it"
        : `cannot find out whether somebody listens there: ${state}`;
    throw socketError(`Cannot listen at ${path}: ${what}`, exists(path));
  }
}

/** Finds out what a connection to the path does. Another process asks, because `listen` is synchronous. */
function probe(path: string): string {
  const env = { ...process.env, NODE_OPTIONS: "" };
  const { stdout, error } = spawnSync(OWN_NODE[0] ?? "node", ["-e", PROBE, path], {
    env,
    encoding: "utf8",
    timeout: PROBE_TIMEOUT_MS,
  });
  return (stdout ?? "").trim() || (error === undefined ? "no answer" : nameLimit(error).message);
}

function exists(path: string): Error {
  return Object.assign(new Error(`listen EADDRINUSE: address already in use ${path}`), {
    code: "EADDRINUSE",
    syscall: "listen",
    address: path,
  });
}

/** Removes the socket, unless something else has taken its place. Never throws. */
function removeIfSame(path: string, own: Stats): void {
  try {
    const found = lstatSync(path);
    if (found.ino === own.ino && found.dev === own.dev) unlinkSync(path);
  } catch {
    // It is gone already, or this user may no longer write to the folder.
  }
}
