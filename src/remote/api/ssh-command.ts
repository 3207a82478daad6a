import { constants as access, accessSync } from "node:fs";
import { constants, homedir } from "node:os";
import { join } from "node:path";
import { currentCall } from "../../calls/target/current-call.ts";
import { findProgram } from "../../commands/find-program.ts";
import { type ProcessSpec, runProcess } from "../../commands/process.ts";
import type { CoreRouter } from "../../core/router.ts";
import type { Sender } from "../../core/sender.ts";
import { MitogenError } from "../../errors.ts";
import { nameLimit } from "../../process/system-limits.ts";

/** Where distributions install sftp-server. None puts it on PATH. */
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

/** The target's side of `runSsh()`: the functions that it calls, and `runSsh` itself, which throws here. */
export function sshCommands(router: CoreRouter): Record<string, unknown> {
  return {
    runSsh: async () => {
      throw new MitogenError("Cannot run a tool with runSsh() in a context: only the program itself can");
    },
    runSshCommand: (command: string, isSubsystem: boolean, output: Sender) =>
      runCommand(router, isSubsystem ? [sftpServer(command)] : shell(command), output),
  };
}

function shell(command: string): [string, ...string[]] {
  return ["/bin/sh", "-c", command];
}

/**
 * Runs a command in the home directory. `output` first gets the Sender of its stdin, then [1 or 2, bytes] of
 * its stdout or stderr. Returns its exit code; for a signal, 128 plus the signal's number. If the caller
 * gives the call up, SIGHUP ends the command, then SIGKILL.
 */
async function runCommand(
  router: CoreRouter,
  argv: readonly [string, ...string[]],
  output: Sender,
): Promise<number> {
  const spec: ProcessSpec = { argv, cwd: home(), hasInput: true, endSignal: "SIGHUP" };
  try {
    // Waits until no process holds its output any more, as ssh does.
    const { code, signal } = await runProcess(router, currentCall(), spec, output);
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  } catch (error) {
    throw nameLimit(error);
  }
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
  const found = findProgram("sftp-server", SFTP_SERVER_FOLDERS);
  if (found !== undefined) return found;
  throw new MitogenError(
    `Cannot start the subsystem "sftp": there is no sftp-server in ${SFTP_SERVER_FOLDERS.join(", ")}, nor on PATH; ` +
      "install it (on Debian openssh-sftp-server), or use scp -O or rsync",
  );
}
