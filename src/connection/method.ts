import type { Context } from "../core/context.ts";
import type { HostKeyError, PasswordError, StreamError } from "../errors.ts";
import type { Dialogue } from "./dialogue.ts";

/** How long a connect may take unless `timeoutMs` says otherwise. */
export const DEFAULT_CONNECT_MS = 30_000;

/** Options every connection method takes. */
export interface ConnectOptions {
  /** The context's name; by default made of the method and its target. */
  readonly name?: string | undefined;
  /** Shown in the target's process list as `mitogen:<remoteName>`; `<user>@<host>:<pid>` of this process by default. No slashes. */
  readonly remoteName?: string | undefined;
  /** The node to run there: a path, or a command with leading arguments. */
  readonly nodePath?: string | readonly string[] | undefined;
  /** How long the connect may take, from spawn to greeting, in milliseconds; 30,000 by default. Behind a `via` the answer may take five seconds more. */
  readonly timeoutMs?: number | undefined;
  /** The context it is started from; this one by default. */
  readonly via?: Context | undefined;
  /** Whether the child's children may reach only the contexts above them. Inherited. */
  readonly unidirectional?: boolean | undefined;
  /** Whether it writes a debug log to the target's temporary folder, as with `router.enableDebug()`: docs/debugging.md. */
  readonly debug?: boolean | undefined;
}

/** What the first stage needs of a method's command line: docs/bootstrap.md. */
export interface BootLine {
  /** For a method that starts a program directly. */
  readonly words: readonly string[];
  /** The same as one line for an unknown login shell. Throws a RangeError for a node path that not every shell leaves alone. */
  readonly shellLine: string;
  /** Lowercase hexadecimal digits, new for every connect: what our own prompts are made of. */
  readonly nonce: string;
  /** The tool will have a controlling terminal, with its diagnostics and its questions on it; stdin and stdout stay pipes. */
  readonly hasTerminal: boolean;
}

/** What went wrong, read from the tool's own words. */
export interface Verdict {
  readonly type: typeof StreamError | typeof PasswordError | typeof HostKeyError;
  readonly message: string;
  readonly hint: string;
}

/**
 * One way to start a child: an argv, the questions the tool may ask, and how to read its diagnostics. Everything else is common.
 *
 * ```ts
 * export const chrootMethod: ConnectionMethod<ChrootOptions> = {
 *   name: "chroot",
 *   nodeCommand: [],
 *   contextName: ({ folder }) => `chroot.${folder}`,
 *   argv(options, boot) {
 *     checkOptions("chroot", options, ["folder"]);
 *     return ["chroot", checkTarget("chroot", "folder", options.folder), ...boot.words];
 *   },
 * };
 * ```
 */
export interface ConnectionMethod<O extends ConnectOptions = ConnectOptions> {
  /** In names and errors: `ssh`. */
  readonly name: string;
  /** The command that runs node when the caller named none; empty: it is looked for on the target. */
  readonly nodeCommand: readonly string[];
  /**
   * The child's process is on the same machine as the one that starts it, at the other end of pipes, so that the kernel tells each of the
   * other's end. Contexts of any other method ask the one that started them for signs of life: docs/connections.md#dead-peers.
   */
  readonly isLocal?: boolean;
  /** Appended to the error of a process that ended without a greeting, where nothing better is known. */
  readonly hint?: string;
  /** The context's name when the caller gave none. `pid` is the child's own claim. */
  contextName(options: O, pid: number): string;
  /** The command line; throws for options that make none. */
  argv(options: O, boot: BootLine): string[];
  /** How the tool's questions are recognised; a tool that asks none has none, and is sent the payload at once. */
  dialogue?(options: O, boot: BootLine): Dialogue;
  /** Whether the other side was too busy to listen, by the complete lines that came: the connect is tried again. */
  wasTurnedAway?(lines: readonly string[], exitCode: number | null): boolean;
  /** Looks for a verdict in the complete lines that came; undefined when they say nothing special. */
  diagnose?(lines: readonly string[], options: O): Verdict | undefined;
}

/** Options no method knows are refused: a misspelt `nodepath` must not be ignored. */
export function checkOptions(method: string, options: object, known: readonly string[]): void {
  checkOnlyOptions(method, options, [...COMMON_OPTIONS, ...known]);
}

/** The same for what does not even have the common ones. */
export function checkOnlyOptions(method: string, options: object, all: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (all.includes(key)) continue;
    throw new TypeError(`Cannot connect: ${method}() has no option "${key}"; it has ${all.join(", ")}`);
  }
}

/** The name of a user, container or host, which must not be taken for an option of the tool. */
export function checkTarget(method: string, option: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && !value.startsWith("-") && !value.includes("\0"))
    return value;
  throw new TypeError(`Cannot connect: ${method}() needs a ${option}, got ${JSON.stringify(value)}`);
}

const COMMON_OPTIONS = ["name", "remoteName", "nodePath", "timeoutMs", "via", "unidirectional", "debug"];
