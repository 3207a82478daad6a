import { randomBytes } from "node:crypto";
import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SSH_PROGRAM_SOURCE } from "../bootstrap/ssh-program.generated.ts";
import { MitogenError } from "../errors.ts";
import { OWN_NODE } from "../process/own-node.ts";
import { quoteForSh } from "../text/shell-quote.ts";

/** What the kernel allows the path of a socket, in bytes, without its end. */
const MAX_SOCKET_PATH_BYTES = 103;
/** The name of the folder, with the pid of its program. */
const NAME = /^mitogen-ssh-(\d+)-\w{6}$/;

/** A folder that only this user can enter, with an `ssh` in it. */
export interface SshFolder {
  readonly path: string;
  /** The socket at which that `ssh` finds the program. */
  readonly socketPath: string;
  /** The secret that it sends first. */
  readonly nonce: string;
}

/** Makes the folder. Throws a MitogenError if the system's folder for temporary files is not suitable. */
export function makeSshFolder(): SshFolder {
  const path = mkdtempSync(join(tmpdir(), `mitogen-ssh-${process.pid}-`)); // mode 0700
  const socketPath = join(path, "socket");
  try {
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES || path.includes(":")) {
      const reason = path.includes(":") ? "it has a colon, which PATH cannot hold" : "it is too long";
      throw new MitogenError(`Cannot use ${path} to run a tool: ${reason}; set TMPDIR to another folder`);
    }
    const nonce = randomBytes(16).toString("hex");
    const program = join(path, "ssh.cjs");
    const settings = JSON.stringify({ socketPath, nonce });
    writeFileSync(program, `${SSH_PROGRAM_SOURCE}(require).main(${settings});\n`, { mode: 0o600 });
    // Preloads of the program's own Node must not apply to this one.
    const command = `exec ${quoteForSh(OWN_NODE[0] ?? "node")} ${quoteForSh(program)} "$@"`;
    writeFileSync(join(path, "ssh"), `#!/bin/sh\nunset NODE_OPTIONS NODE_V8_COVERAGE\n${command}\n`, {
      mode: 0o700,
    });
    return { path, socketPath, nonce };
  } catch (error) {
    removeFolder(path);
    throw error;
  }
}

/** Removes the folder. Never throws. */
export function removeFolder(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // It may belong to another user by now. The next run tries again.
  }
}

/** Removes the folders that killed programs have left. Never rejects. */
export async function removeStaleFolders(): Promise<void> {
  try {
    const names = readdirSync(tmpdir()).filter((name) => NAME.test(name));
    await Promise.all(names.map((name) => removeIfStale(name)));
  } catch {
    // A folder that cannot be read holds nothing of this user.
  }
}

async function removeIfStale(name: string): Promise<void> {
  const path = join(tmpdir(), name);
  const pid = Number(NAME.exec(name)?.[1]);
  if (!isOwn(path) || isAlive(pid)) return;
  // A container that shares this folder also counts its processes from 1. A program that answers is alive.
  if (!(await isAnswered(join(path, "socket")))) removeFolder(path);
}

function isOwn(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === process.getuid?.();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const settle = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", () => settle(true)).once("error", () => settle(false));
  });
}
