import { limitHint } from "../core/system-limits.ts";
import { type ConnectStage, EofError, StreamError, TimeoutError } from "../errors.ts";
import type { Failure } from "./connect-failure.ts";
import { crashHint, UNSET_OPTIONS, waitingHint } from "./exit-hint.ts";
import { readableWords } from "./last-words.ts";
import type { ConnectionMethod } from "./method.ts";
import type { Terminal } from "./terminal.ts";
import { type Exit, printExit } from "./tool-process.ts";
import { readWords } from "./tool-words.ts";

/**
 * The one place that decides what a failed connect is told as: its code, what happened and what to do. What tools say is in tool-words.ts, and in
 * `diagnose` of methods whose options matter to it.
 */

/** What is known of a connect when its process has ended without a greeting. */
export interface Ended {
  readonly method: Pick<ConnectionMethod, "name" | "hint" | "ownExitCode">;
  /** What was started. */
  readonly tool: string;
  /** The command for node, if it was not looked for. */
  readonly node: string | undefined;
  readonly stage: ConnectStage;
  readonly exit: Exit;
  /** All that was said. */
  readonly lines: readonly string[];
  readonly terminal: Terminal | undefined;
}

/** What a shell exits with when it cannot run a command, and when it does not find it. */
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
/** Of what a target printed. */
const MAX_QUOTED = 120;

/** What script(1) of util-linux, of busybox and of the BSDs, and Python say where terminals have run out. */
const NO_TERMINAL = /failed to create pseudo-terminal|can't (find free|open) pty|openpty|out of pty devices/;
const FORCED_CURE =
  "see command= of the key in authorized_keys, ForceCommand in sshd_config, and the start-up files of the account's shell";

/** Why a process has ended without a greeting, where the method itself has no verdict. */
export function whyEnded(ended: Ended): Failure {
  const { method, stage, lines } = ended;
  if (stage === "provision") return provisionEnded(ended);
  const told = stage === "node" ? whyNodeEnded(ended) : readWords(method.name, lines);
  return told ?? (stage === "node" || stage === "ready" ? nodeEnded(ended) : toolEnded(ended));
}

/** Before any shell answered. */
function toolEnded({ method, tool, stage, exit, lines, terminal }: Ended): Failure {
  const message = `the process ${printExit(exit)} before the context was ready`;
  const text = lines.join("\n");
  if (terminal !== undefined && NO_TERMINAL.test(text)) {
    const hint =
      "no terminal is left there: end programs that hold one, or raise the limit, on Linux sysctl kernel.pty.max";
    return { type: EofError, message, hint };
  }
  if (stage === "spawn") return notFound(tool);
  if (isTargets(method, stage, exit, terminal)) return notOurCommand(exit, lines);
  if (exit.code === NOT_FOUND || exit.code === CANNOT_RUN) {
    return { type: EofError, code: "ERR_NO_SHELL", message, hint: "see whether the target has sh" };
  }
  return { type: EofError, message, hint: method.hint ?? "" };
}

/** Whether it is a login that has ended, rather than the tool. */
function isTargets(
  { ownExitCode }: Ended["method"],
  stage: ConnectStage,
  { code }: Exit,
  terminal: Terminal | undefined,
): boolean {
  if (ownExitCode === undefined) return false;
  return stage === "shell" || (code !== null && code !== ownExitCode && terminal?.losesExitCode !== true);
}

/** The login was taken, and no shell has run our command line. */
function notOurCommand(exit: Exit, lines: readonly string[]): Failure {
  const end = printExit(exit);
  if (exit.code === NOT_FOUND || exit.code === CANNOT_RUN) {
    const hint = "see the PATH of non-interactive logins there";
    const message = `the login succeeded, but its shell could not run sh: it ${end}`;
    return { type: EofError, code: "ERR_NO_SHELL", message, hint };
  }
  const said = lines[lines.length - 1];
  if (said === undefined) {
    return {
      type: EofError,
      code: "ERR_NO_SHELL",
      message: `the login succeeded, but no shell ran our command: it ${end} and printed nothing`,
      hint: `see the account's shell (getent passwd); ${FORCED_CURE.slice("see ".length)}`,
    };
  }
  const message = `the login succeeded, but something else ran in place of our command: it printed ${quoted(said)} and ${end}`;
  return { type: EofError, code: "ERR_COMMAND_FORCED", message, hint: FORCED_CURE };
}

/** What comes back is what was sent. */
export function echoed(method: Pick<ConnectionMethod, "ownExitCode">): Failure {
  const message = "something else ran in place of our command: it sends back what it is sent, as cat does";
  const hint = method.ownExitCode === undefined ? "see what the command line runs" : FORCED_CURE;
  return { type: EofError, code: "ERR_COMMAND_FORCED", message, hint };
}

/** What node, or the shell that starts it, says. */
function whyNodeEnded({ node = "node", exit, lines }: Ended): Failure | undefined {
  const text = readableWords(lines.join("\n"));
  const glibc = /version .(GLIBC(?:XX)?_[\d.]+)' not found/.exec(text)?.[1];
  if (glibc !== undefined) {
    return {
      type: EofError,
      code: "ERR_NO_NODE",
      message: `the node of the target does not run there: it needs ${glibc} of the system's libraries`,
      hint: "install a node that was built for that system, or pass nodePath for one",
    };
  }
  // Some shells, and setsid, take what the kernel cannot run for a script.
  if (/exec format error|cannot execute binary file|: \W?ELF|syntax error/i.test(text)) {
    const message = `${node} on the target is a program for another kind of machine`;
    return { type: EofError, code: "ERR_NO_NODE", message, hint: "pass nodePath for one that fits" };
  }
  if (exit.code === NOT_FOUND) {
    const message = lines.some((line) => saysNoSuch(line, node))
      ? `there is no ${node} on the target`
      : `${node} on the target ${printExit(exit)}, so it did not find what it needs`;
    return { type: EofError, code: "ERR_NO_NODE", message, hint: "see whether nodePath names a node of it" };
  }
  if (exit.code === CANNOT_RUN) {
    return {
      type: EofError,
      code: "ERR_POLICY",
      message: `${node} may not be run on the target`,
      hint: "see whether nodePath names a node of it, its permissions, the mount option noexec, and what SELinux or fapolicyd say",
    };
  }
  const option = /: (\S+) is not allowed in NODE_OPTIONS/.exec(text)?.[1];
  if (option !== undefined) {
    const message = `node does not start there, because NODE_OPTIONS holds ${option}`;
    return { type: EofError, message, hint: UNSET_OPTIONS };
  }
  const unknown = /bad option: (--(?:input-type|experimental-vm-modules))/.exec(text)?.[1];
  if (unknown !== undefined) {
    return {
      type: StreamError,
      code: "ERR_NODE_VERSION",
      message: `${node} on the target is too old: it does not know ${unknown}`,
      hint: "pass nodePath for a newer one",
    };
  }
  if (/\b(EBADF|EINVAL)\b/.test(text)) {
    const message = "what starts node there closes the descriptors above 2, which carry the connection";
    return { type: EofError, message, hint: "have the command of nodePath leave descriptors 3 to 6 open" };
  }
  if (/payload_cut_short/.test(text)) {
    const message = "the connection ended before all that starts a context had arrived";
    const hint =
      "see whether something there reads the input first, a login script or the command of nodePath";
    return { type: EofError, message, hint };
  }
  return undefined;
}

/** In the words of the shells and of setsid. */
function saysNoSuch(line: string, command: string): boolean {
  const at = line.indexOf(command);
  return at >= 0 && /^'?: *(command )?(not found|no such file)/i.test(line.slice(at + command.length));
}

/** While it was given a node. */
function provisionEnded({ exit, method }: Ended): Failure {
  const message = `the process ${printExit(exit)} while the target was given a node`;
  return { type: EofError, code: "ERR_PROVISION", message, hint: method.hint ?? "connect again" };
}

function nodeEnded({ exit, lines, method }: Ended): Failure {
  const message = `the process ${printExit(exit)} before the context was ready`;
  return {
    type: EofError,
    message,
    hint: crashHint(readableWords(lines.join("\n")), exit.code) || (method.hint ?? ""),
  };
}

/** `system` is what `uname -sm` says. */
export function noNode(system: string): Failure {
  return {
    type: EofError,
    code: "ERR_NO_NODE",
    message: `no node was found on the target (${system})`,
    hint: 'pass provision: "cache" to have one brought there, or nodePath, or put node in the PATH of non-interactive logins',
  };
}

export function nodeTooOld(version: string, oldest: string): Failure {
  // There is no Node of these versions.
  if (/^[1-3]\./.test(version)) {
    return {
      type: StreamError,
      code: "ERR_NODE_VERSION",
      message: `what was started on the target is Bun ${version}, and contexts run only on Node`,
      hint: "install node there, or pass the path of one as nodePath",
    };
  }
  const message = `node ${version} on the target is too old, ${oldest} is the oldest that works`;
  return {
    type: StreamError,
    code: "ERR_NODE_VERSION",
    message,
    hint: "pass nodePath for a newer one",
  };
}

const WAITS: Readonly<Record<ConnectStage, (method: string) => string>> = {
  spawn: (method) => `for ${method} to start`,
  transport: (method) => `for ${method} to get there and for a shell to answer`,
  shell: () => "after the login for a shell that runs our command",
  provision: () => "for the target to take a node",
  node: () => "for node to start",
  ready: () => "for the context to begin",
};

/** `question` is what the tool has asked last, `isSilent` that nothing at all was said. */
export function timedOut(
  method: string,
  stage: ConnectStage,
  timeoutMs: number,
  question: string,
  said: string,
): Failure {
  const asks = stage === "transport" && question !== "";
  const hint = asks
    ? `it may be waiting for an answer to ${JSON.stringify(question)}`
    : stage === "node"
      ? waitingHint(said)
      : "";
  const message = `connection timed out after ${timeoutMs} ms, waiting ${WAITS[stage](method)}`;
  return { type: TimeoutError, message, hint };
}

/** The system has not started the tool. */
export function notStarted(error: NodeJS.ErrnoException): Failure {
  if (error.code === "ENOENT" && error.path !== undefined) {
    return { ...notFound(error.path, `: ${error.message}`), cause: error };
  }
  const message = `could not be started: ${error.message}`;
  const hint = limitHint(error);
  return { type: StreamError, message, hint: message.endsWith(hint) ? "" : hint, cause: error };
}

function notFound(tool: string, why = ""): Failure {
  const hint = `see whether ${tool} is installed and in PATH`;
  return { type: StreamError, message: `could not be started${why || `: there is no ${tool}`}`, hint };
}

function quoted(line: string): string {
  return JSON.stringify(line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line);
}

/** The platform and the architecture in Node's words, of what `uname -sm` says. */
export function systemOf(uname: string): { platform: string; arch: string } {
  const [system = "", machine = ""] = uname.split(" ");
  return { platform: system.toLowerCase(), arch: ARCHITECTURES[machine] ?? machine };
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: "x64",
  amd64: "x64",
  aarch64: "arm64",
  armv8l: "arm",
  armv7l: "arm",
  armv6l: "arm",
  i386: "ia32",
  i586: "ia32",
  i686: "ia32",
  ppc64le: "ppc64",
  loongarch64: "loong64",
};
