import { type ConnectStage, EofError, StreamError, TimeoutError } from "../../errors.ts";
import { type ProcessExit, printExit } from "../../process/process-exit.ts";
import { startFault } from "../../process/start-fault.ts";
import { limitHint } from "../../process/system-limits.ts";
import type { ConnectionMethod } from "../methods/method.ts";
import type { Terminal } from "../prompts/terminal.ts";
import { crashHint, UNSET_OPTIONS, waitingHint } from "./exit-hint.ts";
import { readableWords } from "./last-words.ts";
import type { Failure } from "./new-connect-error.ts";
import { readWords } from "./tool-words.ts";

/**
 * Decides how a failed connect is reported: its code, what happened and what to do. The messages of tools are
 * in tool-words.ts, or in `diagnose` of a method if their meaning depends on the method's options.
 */

/** What is known of a connect when its process ends without a greeting. */
export interface Ended {
  readonly method: Pick<ConnectionMethod, "name" | "hint" | "ownExitCode">;
  /** The command that was started. */
  readonly tool: string;
  /** The command for node, if it was given. */
  readonly node: string | undefined;
  readonly stage: ConnectStage;
  readonly exit: ProcessExit;
  /** The whole output. */
  readonly lines: readonly string[];
  readonly terminal: Terminal | undefined;
  /** Whether the tool was given a password. */
  readonly hasTyped: boolean;
}

/** The exit codes of a shell that cannot run a command, or does not find it. */
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
/** The most characters that an error quotes of a target's output. */
const MAX_QUOTED = 120;

/**
 * How script(1) of util-linux, of busybox and of the BSDs, and Python, say that there are no terminals left.
 */
const NO_TERMINAL = /failed to create pseudo-terminal|can't (find free|open) pty|openpty|out of pty devices/;
const FORCED_CURE =
  "check command= of the key in authorized_keys, ForceCommand in sshd_config, and the start-up files of the account's shell";

/** Explains why a process ended without a greeting, if the method itself has no verdict. */
export function whyEnded(ended: Ended): Failure {
  const { method, stage, lines } = ended;
  if (stage === "provision") return provisionEnded(ended);
  const told = stage === "node" ? whyNodeEnded(ended) : readWords(method.name, lines);
  return told ?? (stage === "node" || stage === "ready" ? nodeEnded(ended) : toolEnded(ended));
}

/** Explains an end before any shell answered. */
function toolEnded({ method, tool, stage, exit, lines, terminal, hasTyped }: Ended): Failure {
  const message = `the process ${printExit(exit)} before the context was ready`;
  const text = lines.join("\n");
  if (terminal !== undefined && NO_TERMINAL.test(text)) {
    const hint =
      "no terminal is free there: end programs that hold one, or raise the limit (on Linux: sysctl kernel.pty.max)";
    return { type: EofError, message, hint };
  }
  if (stage === "spawn") return notFound(tool);
  if (isTargets(method, stage, exit, terminal)) {
    // Our command did run, but the machine lacks something: processes, say.
    const hint = crashHint(text, null);
    return hint === "" ? notOurCommand(exit, lines) : { type: EofError, message, hint };
  }
  if (exit.code === NOT_FOUND || exit.code === CANNOT_RUN) {
    return { type: EofError, code: "ERR_NO_SHELL", message, hint: "check whether the target has sh" };
  }
  const said = lines[lines.length - 1];
  if (hasTyped && said !== undefined && WORDED.has(method.name)) {
    const hint = `pass incorrectPrompts if ${quoted(said)} refuses the password`;
    return { type: EofError, message, hint };
  }
  return { type: EofError, message, hint: method.hint ?? "" };
}

/** Whether the login has ended, rather than the tool. */
function isTargets(
  { ownExitCode }: Ended["method"],
  stage: ConnectStage,
  { code }: ProcessExit,
  terminal: Terminal | undefined,
): boolean {
  if (ownExitCode === undefined) return false;
  return stage === "shell" || (code !== null && code !== ownExitCode && terminal?.losesExitCode !== true);
}

/** Explains a login that succeeded without running our command. */
function notOurCommand(exit: ProcessExit, lines: readonly string[]): Failure {
  const end = printExit(exit);
  if (exit.code === NOT_FOUND || exit.code === CANNOT_RUN) {
    const hint = "check the PATH of non-interactive logins there";
    const message = `the login succeeded, but its shell could not run sh: it ${end}`;
    return { type: EofError, code: "ERR_NO_SHELL", message, hint };
  }
  const said = lines[lines.length - 1];
  if (said === undefined) {
    return {
      type: EofError,
      code: "ERR_NO_SHELL",
      message: `the login succeeded, but no shell ran the library's command: it ${end} and printed nothing`,
      hint: `check the account's shell (getent passwd); ${FORCED_CURE}`,
    };
  }
  const message = `the login succeeded, but something else ran in place of the library's command: it printed ${quoted(said)} and ${end}`;
  return { type: EofError, code: "ERR_COMMAND_FORCED", message, hint: FORCED_CURE };
}

/** The failure of a target that sends back what it is sent. */
export function echoed(method: Pick<ConnectionMethod, "ownExitCode">): Failure {
  const message =
    "something else ran in place of the library's command: it sends its input back, as cat does";
  const hint = method.ownExitCode === undefined ? "check what the command line runs" : FORCED_CURE;
  return { type: EofError, code: "ERR_COMMAND_FORCED", message, hint };
}

/** Explains the output of node, or of the shell that starts it. */
function whyNodeEnded({ node = "node", exit, lines }: Ended): Failure | undefined {
  const text = readableWords(lines.join("\n"));
  const glibc = /version .(GLIBC(?:XX)?_[\d.]+)' not found/.exec(text)?.[1];
  if (glibc !== undefined) {
    return {
      type: EofError,
      code: "ERR_NO_NODE",
      message: `node cannot run on the target: it needs ${glibc} from the system's libraries`,
      hint: "install a node that was built for that system, or pass nodePath for one",
    };
  }
  // Some shells, and setsid, treat a file that the kernel cannot run as a script.
  if (/exec format error|cannot execute binary file|: \W?ELF|syntax error/i.test(text)) {
    const message = `${node} on the target was built for another kind of machine`;
    return { type: EofError, code: "ERR_NO_NODE", message, hint: "pass nodePath for one that fits" };
  }
  if (exit.code === NOT_FOUND) {
    const message = lines.some((line) => saysNoSuch(line, node))
      ? `there is no ${node} on the target`
      : `${node} on the target ${printExit(exit)}, so it did not find what it needs`;
    return {
      type: EofError,
      code: "ERR_NO_NODE",
      message,
      hint: "check whether nodePath names a node on the target",
    };
  }
  if (exit.code === CANNOT_RUN) {
    return {
      type: EofError,
      code: "ERR_POLICY",
      message: `${node} may not be run on the target`,
      hint: "check whether nodePath names a node on the target, its permissions, the mount option noexec, and what SELinux or fapolicyd say",
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
      hint: 'pass provision: "cache" to have a newer one brought there, or nodePath for one',
    };
  }
  if (/\b(EBADF|EINVAL)\b/.test(text)) {
    const message =
      "the program that starts node there closes the descriptors above 2, which carry the connection";
    return { type: EofError, message, hint: "have the command of nodePath leave descriptors 3 to 6 open" };
  }
  // If the connection has more bytes to give, they stand for those that are missing, and what node has does not unpack.
  const isDamaged = /Z_(?:BUF|DATA)_ERROR|_ERROR_FORMAT/.test(text);
  if (isDamaged || /payload_cut/.test(text)) {
    const message = isDamaged
      ? "the payload did not arrive whole"
      : "the connection ended before the whole payload had arrived";
    const hint = "check whether a login script or the command of nodePath reads the input first";
    return { type: EofError, message, hint };
  }
  return undefined;
}

/** Whether a shell or setsid says that the command does not exist. */
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

/** `system` is the output of `uname -sm`. */
export function noNode(system: string): Failure {
  return {
    type: EofError,
    code: "ERR_NO_NODE",
    message: `no node was found on the target (${system})`,
    hint: 'pass provision: "cache" to have one brought there, or nodePath, or put node in the PATH of non-interactive logins',
  };
}

const WAITS: Readonly<Record<ConnectStage, (method: string) => string>> = {
  spawn: (method) => `for ${method} to start`,
  transport: (method) => `for ${method} to reach the target and for a shell to answer`,
  shell: () => "after the login for a shell to run the library's command",
  provision: () => "for the target to receive node",
  node: () => "for node to start",
  ready: () => "for the context to start",
};

/** The methods that have the option `answers`. */
const ANSWERING: ReadonlySet<string> = new Set(["ssh", "sudo", "su", "doas"]);
/** Those that ask for the password, and refuse it, in the words of their language. */
const WORDED: ReadonlySet<string> = new Set(["su", "doas"]);

/** `question` is the tool's last question, and `said` is all of its output. */
export function timedOut(
  method: string,
  stage: ConnectStage,
  timeoutMs: number,
  question: string,
  said: string,
): Failure {
  const cure = WORDED.has(method)
    ? "; pass passwordPrompt if that asks for the password, or answers if not"
    : ANSWERING.has(method)
      ? "; pass answers"
      : "";
  const asks = stage === "transport" && question !== "";
  const hint = asks
    ? `it may be waiting for an answer to ${JSON.stringify(question.trim())}${cure}`
    : stage === "node"
      ? waitingHint(said)
      : "";
  const message = `connection timed out after ${timeoutMs} ms, waiting ${WAITS[stage](method)}`;
  return { type: TimeoutError, message, hint };
}

/** The failure of a tool that the system did not start. */
export function notStarted(error: NodeJS.ErrnoException, tool: string): Failure {
  const message = `could not be started: ${error.message}`;
  const why = startFault(error.code, { file: error.path ?? tool, path: process.env["PATH"] });
  if (why !== undefined) return { type: StreamError, message, hint: why, cause: error };
  const hint = limitHint(error);
  return { type: StreamError, message, hint: message.endsWith(hint) ? "" : hint, cause: error };
}

function notFound(tool: string): Failure {
  const hint = `check whether ${tool} is installed and in PATH`;
  return { type: StreamError, message: `could not be started: there is no ${tool}`, hint };
}

function quoted(line: string): string {
  return JSON.stringify(line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line);
}

/** Turns the output of `uname -sm` into Node's names for the platform and the architecture. */
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
