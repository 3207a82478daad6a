import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { constants as access, accessSync } from "node:fs";
import { constants, homedir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { type CurrentCall, currentCall } from "../calls/current-call.ts";
import { endTree } from "../core/end-tree.ts";
import { Receiver } from "../core/receiver.ts";
import { release } from "../core/release.ts";
import type { CoreRouter } from "../core/router.ts";
import type { Sender } from "../core/sender.ts";
import { nameLimit } from "../core/system-limits.ts";
import { MitogenError } from "../errors.ts";

/** Where distributions put it; none has it on PATH. */
const SFTP_SERVER_FOLDERS = [
  "/usr/lib/openssh",
  "/usr/libexec/openssh",
  "/usr/libexec",
  "/usr/lib/ssh",
  "/usr/lib/misc",
  "/usr/lib",
  "/usr/local/libexec",
  "/run/current-system/sw/libexec",
];

/** The target's side of `runSsh()`: what it calls, and its name for those who import it here. */
export function sshCommands(router: CoreRouter): Record<string, unknown> {
  return {
    runSsh: async () => {
      throw new MitogenError("Cannot run a tool with runSsh() in a context: only the program itself can");
    },
    runSshCommand: (command: string, isSubsystem: boolean, output: Sender) =>
      runCommand(router, currentCall(), isSubsystem ? [sftpServer(command)] : shell(command), output),
  };
}

function shell(command: string): [string, ...string[]] {
  return ["/bin/sh", "-c", command];
}

/**
 * Runs it in the home directory. `output` gets the Sender of its stdin first, then [1 or 2, bytes] of its stdout or stderr. Answers
 * its exit code, 128 and the signal's number for a signal. Once the call is given up, SIGHUP ends it, then SIGKILL.
 */
async function runCommand(
  router: CoreRouter,
  { source, signal }: CurrentCall,
  [file, ...args]: [string, ...string[]],
  output: Sender,
): Promise<number> {
  const child = spawn(file, args, { cwd: home(), stdio: "pipe" });
  const closed = exitOf(child);
  // With no descriptors left there are no streams, only an error to come.
  if ((child.stdin as Writable | undefined) === undefined) return await closed;
  const stdin = new Receiver<Uint8Array>(router, { respondent: source });
  let hasEnded = false;
  child.once("exit", () => {
    hasEnded = true;
  });
  try {
    const work = [
      closed,
      output.send(stdin.toSender()),
      forward(child.stdout, 1, output),
      forward(child.stderr, 2, output),
    ] as const;
    void feed(stdin, child.stdin, closed);
    const [code] = await Promise.race([Promise.all(work), abortOf(signal)]);
    return code;
  } finally {
    stdin.close();
    output.close();
    if (child.pid !== undefined && !hasEnded) void endTree(child.pid, "SIGHUP", () => hasEnded);
    // What it has set apart may hold them for ever.
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Once nobody holds its output any more, as ssh waits. */
function exitOf(child: ChildProcessWithoutNullStreams): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(nameLimit(error)));
    child.once("close", (code: number | null, signal: NodeJS.Signals | null) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Reads on only as the other side reads: what waits in between is bounded. */
async function forward(stream: Readable, fd: 1 | 2, output: Sender): Promise<void> {
  for await (const bytes of stream) {
    await output.send([fd, bytes]);
    release(bytes); // it was copied when it was sent
  }
}

async function feed(from: Receiver<Uint8Array>, stdin: Writable, closed: Promise<unknown>): Promise<void> {
  stdin.on("error", () => from.close()); // it reads no more; its exit tells the story
  try {
    for await (const message of from) {
      const bytes = message.decode();
      // Node 12 forgets the callbacks of a stream that is destroyed.
      const written = new Promise<void>((resolve) => {
        stdin.write(bytes, () => {
          release(bytes);
          resolve();
        });
      });
      await Promise.race([written, closed]);
    }
  } catch {
    // It could not be started, or was sent no bytes: the same as an end.
  }
  stdin.end();
}

function home(): string {
  try {
    const path = homedir();
    accessSync(join(path, "."), access.X_OK);
    return path;
  } catch {
    return "/";
  }
}

function sftpServer(subsystem: string): string {
  if (subsystem !== "sftp") {
    throw new MitogenError(`Cannot start the subsystem ${JSON.stringify(subsystem)}: only sftp is known`);
  }
  const folders = [...SFTP_SERVER_FOLDERS, ...(process.env.PATH ?? "").split(delimiter)];
  const found = folders.map((folder) => join(folder, "sftp-server")).find(isExecutable);
  if (found !== undefined) return found;
  throw new MitogenError(
    `Cannot start the subsystem "sftp": there is no sftp-server in ${SFTP_SERVER_FOLDERS.join(", ")}, nor on PATH; ` +
      "install it (on Debian openssh-sftp-server), or use scp -O or rsync",
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, access.X_OK);
    return true;
  } catch {
    return false;
  }
}
