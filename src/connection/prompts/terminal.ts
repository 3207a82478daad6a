import { execFile } from "node:child_process";
import { StreamError } from "../../errors.ts";
import { checkDescriptors, limitHint, nameLimit, SPAWN_DESCRIPTORS } from "../../process/system-limits.ts";
import { quoteForSh } from "../../text/shell-quote.ts";

/**
 * A way to give a tool a controlling terminal without native code: a program that the system already has. The
 * program's stdin and stdout are the terminal's input and output. The tool's stdin and stdout are the
 * program's descriptors 3 and 4.
 */
export interface Terminal {
  readonly name: string;
  /** Whether the tool's exit code is lost. */
  readonly losesExitCode?: boolean;
  /** The command line that runs `argv` on a terminal. The tool's stderr is the terminal. */
  wrap(argv: readonly string[]): string[];
  /** The environment, which replaces that of this process. */
  env(): NodeJS.ProcessEnv;
}

/** How long a program may take to print its version. */
const PROBE_TIMEOUT_MS = 5000;

let found: Promise<Terminal> | undefined;

/**
 * Finds the first of these programs on this machine. Rejects with a StreamError that says what is missing;
 * the next call then looks again.
 */
export function findTerminal(): Promise<Terminal> {
  if (found !== undefined) return found;
  const search = searchTerminal();
  search.catch(() => {
    found = undefined;
  });
  found = search;
  return search;
}

async function searchTerminal(): Promise<Terminal> {
  const said = await probe("script", ["--version"]);
  if (said !== undefined) {
    if (said.includes("util-linux")) return utilLinux;
    if (/busybox/i.test(said)) return busybox;
    const bsd = BSD[process.platform];
    if (bsd !== undefined) return bsd;
  }
  if ((await probe("python3", ["-c", "import pty; print('pty')"]))?.includes("pty")) return python;
  throw new StreamError(
    "a terminal is needed to answer questions, and nothing here can make one: install script (package util-linux or bsdutils) or python3",
  );
}

/** util-linux, which nearly every Linux has. */
export const utilLinux: Terminal = viaScript("script of util-linux", (line) => ["-qefc", line, "/dev/null"]);

/** Alpine and other small systems. The tool's exit code is lost. */
export const busybox: Terminal = {
  ...viaScript("script of busybox", (line) => ["-qfc", line, "/dev/null"]),
  losesExitCode: true,
};

/** The BSDs, by Node's names for the platforms. */
const BSD: Readonly<Record<string, Terminal>> = {
  darwin: fedByPipe(viaScript("script of macOS", (line) => ["-q", "/dev/null", "/bin/sh", "-c", line])),
  freebsd: viaScript("script of FreeBSD", (line) => ["-q", "/dev/null", "/bin/sh", "-c", line]),
  netbsd: viaScript("script of NetBSD", (line) => ["-qc", line, "/dev/null"]),
  openbsd: viaScript("script of OpenBSD", (line) => ["-c", line, "/dev/null"]),
};

/** Copies between its stdin, its stdout and a new terminal. Ends as the tool ends. */
const PTY_SCRIPT = `
import os, pty, select, sys
pid, tty = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
sources = [0, tty]
while True:
    for source in select.select(sources, [], [])[0]:
        try:
            data = os.read(source, 4096)
        except OSError:
            data = b""
        if source == tty and not data:
            status = os.waitpid(pid, 0)[1]
            sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
        elif source == tty:
            os.write(1, data)
        elif data:
            os.write(tty, data)
        else:
            sources.remove(0)
`.trim();

/** For distributions that have moved `script` to a package of its own. */
export const python: Terminal = {
  name: "python3",
  wrap: (argv) => withMergedStderr(["python3", "-c", PTY_SCRIPT, "/bin/sh", "-c", redirected(argv)]),
  env: () => process.env,
};

function viaScript(name: string, args: (line: string) => string[]): Terminal {
  return {
    name,
    wrap: (argv) => withMergedStderr(["script", ...args(`${restoreShell()}${redirected(argv)}`)]),
    // script(1) runs its command with this shell. The user's own shell may not understand the line.
    env: () => ({ ...process.env, SHELL: "/bin/sh" }),
  };
}

/**
 * For a program that refuses a socket as its stdin, which is what Node makes: cat stands between. cat must
 * not hold the tool's data streams open. Not for util-linux, because its script(1) spins if it has a child
 * that it did not start.
 */
export function fedByPipe({ name, wrap, env }: Terminal): Terminal {
  const feed = 'exec "$@" < <(exec cat 3<&- 4>&-)';
  return { name, env, wrap: (argv) => ["/bin/bash", "-c", feed, "bash", ...wrap(argv)] };
}

/** Sends the program's own errors to the stream of the tool's errors. */
function withMergedStderr(argv: readonly string[]): string[] {
  return ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", ...argv];
}

/** Runs the tool with its data on pipes instead of the terminal. */
function redirected(argv: readonly string[]): string {
  return `exec ${argv.map(quoteForSh).join(" ")} <&3 >&4 3<&- 4>&-`;
}

function restoreShell(): string {
  const { SHELL } = process.env;
  return SHELL === undefined ? "unset SHELL;" : `SHELL=${quoteForSh(SHELL)};`;
}

/**
 * Runs a command and resolves with its output, or with undefined if there is no such program. Rejects if the
 * system has no room for another process.
 */
function probe(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    checkDescriptors(SPAWN_DESCRIPTORS);
    const child = execFile(command, args, { timeout: PROBE_TIMEOUT_MS }, (error, stdout, stderr) => {
      const isMissing = error !== null && (error as NodeJS.ErrnoException).code === "ENOENT";
      if (limitHint(error) !== "") reject(nameLimit(error));
      else resolve(isMissing ? undefined : stdout + stderr);
    });
    child.stdin?.end();
  });
}
