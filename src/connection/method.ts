import { Context } from "../core/context.ts";
import {
  argumentList,
  callback,
  commandLine,
  duration,
  flag,
  instanceOf,
  target,
  text,
} from "../core/option-types.ts";
import {
  isOptions,
  misuse,
  type OptionTable,
  type OptionType,
  readOptions,
  show,
  takeOption,
} from "../core/options.ts";
import type { ConnectCode, HostKeyError, PasswordError, StreamError } from "../errors.ts";
import { MAX_CONTEXT_NAME } from "../wire/references.ts";
import type { Dialogue } from "./dialogue.ts";
import type { ProvisionProgress } from "./runtime/plan.ts";

/** How long a connect may take unless `timeoutMs` says otherwise. */
export const DEFAULT_CONNECT_MS = 30_000;

/** What is done for a target without node. */
export type Provision = false | "cache" | "memory";

/** Options every connection method takes. */
export interface ConnectOptions {
  /** The context's name; by default made of the method and its target. */
  readonly name?: string | undefined;
  /** Shown in the target's process list as `mitogen:<remoteName>`; `<user>@<host>:<pid>` of this process by default. No slashes. */
  readonly remoteName?: string | undefined;
  /** The node to run there: a path, or a command with leading arguments. */
  readonly nodePath?: string | readonly string[] | undefined;
  /** How long the connect may take, from spawn to greeting, in milliseconds; 30,000 by default. Behind a `via` the answer may take as long again, one second at least and five at most. */
  readonly timeoutMs?: number | undefined;
  /** The context it is started from; this one by default. */
  readonly via?: Context | undefined;
  /** Whether the child's children may reach only the contexts above them. Inherited. */
  readonly unidirectional?: boolean | undefined;
  /**
   * What is done if the target has no node, or one that is of no use: `"cache"` brings one and keeps it in a folder of the target's user, `"memory"` brings
   * one that is gone with the context. False by default; for a context behind another, as that one was started. docs/provision.md
   */
  readonly provision?: Provision | undefined;
  /** Called while a runtime is uploaded for this connect. */
  readonly onProgress?: ((progress: ProvisionProgress) => void) | undefined;
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
  /** The tool has failed before and said nothing: it may be asked to say more. */
  readonly wasSilent?: boolean;
}

/** What went wrong, read from the tool's own words. */
export interface Verdict {
  readonly type: typeof StreamError | typeof PasswordError | typeof HostKeyError;
  /** The error's `code`, in place of that of its class. */
  readonly code?: ConnectCode | undefined;
  /** What happened, without a full stop. */
  readonly message: string;
  /** What to do, or an empty string. */
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
  /**
   * The exit code of the tool's own failures. For a tool that has one, any other code, and all that comes on its stdout, is the target's: the login
   * has succeeded.
   */
  readonly ownExitCode?: number;
  /** Appended to the error of a process that ended without a greeting, where nothing better is known. */
  readonly hint?: string;
  /** The context's name when the caller gave none. `pid` is the child's own claim. */
  contextName(options: O, pid: number): string;
  /** The command line; throws for options that make none. */
  argv(options: O, boot: BootLine): string[];
  /** How the tool's questions are recognised; a tool that asks none has none, and is sent the payload at once. */
  dialogue?(options: O, boot: BootLine): Dialogue;
  /**
   * Whether the tool is too old for an argument that this method adds by itself, by the complete lines that came: it is started again at
   * once, with an argv that has to do without.
   */
  startsAgain?(lines: readonly string[], argv: readonly string[]): boolean;
  /** Whether the other side was too busy to listen, by the complete lines that came: the connect is tried again. */
  wasTurnedAway?(lines: readonly string[], exitCode: number | null): boolean;
  /** Looks for a verdict in the complete lines that came; undefined when they say nothing special. */
  diagnose?(lines: readonly string[], options: O): Verdict | undefined;
}

/** A method of this library, whose options are checked before anything else is done, here and once more where the process is started. */
export interface LibraryMethod<O extends ConnectOptions = ConnectOptions> extends ConnectionMethod<O> {
  /** Its own options. */
  readonly options: OptionTable<Omit<O, keyof ConnectOptions>>;
}

const contextName: OptionType<string> = {
  wanted: `a string with 1 to ${MAX_CONTEXT_NAME - 1} characters`,
  take(value, refuse) {
    if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
    if (value === "" || value.length >= MAX_CONTEXT_NAME) throw refuse("ERR_OUT_OF_RANGE");
    return value;
  },
};

const processName: OptionType<string> = {
  wanted: "a string without slashes, backslashes and NUL",
  take(value, refuse) {
    if (typeof value !== "string") throw refuse("ERR_INVALID_ARG_TYPE");
    if (/[/\\\0]/.test(value)) throw refuse("ERR_OUT_OF_RANGE");
    return value;
  },
};

const nodePath: OptionType<string | readonly string[]> = {
  wanted: "a path, or a list of 1 or more strings, without NUL",
  take: (value, refuse) =>
    typeof value === "string" ? text.take(value, refuse) : commandLine.take(value, refuse),
};

export const provision: OptionType<Provision> = {
  wanted: 'false, "cache" or "memory"',
  take(value, refuse) {
    if (value === false || value === "cache" || value === "memory") return value;
    throw refuse(typeof value === "string" ? "ERR_INVALID_ARG_VALUE" : "ERR_INVALID_ARG_TYPE");
  },
};

const COMMON_OPTIONS: OptionTable<ConnectOptions> = {
  name: contextName,
  remoteName: processName,
  nodePath,
  timeoutMs: duration,
  via: instanceOf(Context, "a Context"),
  unidirectional: flag,
  provision,
  onProgress: callback as OptionType<(progress: ProvisionProgress) => void>,
  debug: flag,
};

/** What a method of the program's own must have. */
const METHOD: OptionType<ConnectionMethod> = {
  wanted: "an object with a name, a nodeCommand, argv() and contextName()",
  take(value, refuse) {
    if (typeof value !== "object" || value === null) throw refuse("ERR_INVALID_ARG_TYPE");
    const { name, nodeCommand, argv, contextName } = value as ConnectionMethod;
    const missing = (part: string, given: unknown) => (): Error =>
      refuse("ERR_INVALID_ARG_TYPE", part, given);
    text.take(name, missing(".name", name));
    argumentList.take(nodeCommand, missing(".nodeCommand", nodeCommand));
    callback.take(argv, missing(".argv", argv));
    callback.take(contextName, missing(".contextName", contextName));
    return value as ConnectionMethod;
  },
};

/** The options of a thread, which is no process: `ThreadOptions`. */
const { name, unidirectional, via, debug } = COMMON_OPTIONS;
const THREAD_OPTIONS = { name, unidirectional, via, debug };

/**
 * The checked options of a connect. `own` is the table of a method of ours; the options of another method, or of one that only another context
 * knows, are looked at where they are used.
 */
export function readConnectOptions<O extends ConnectOptions>(
  method: string,
  options: unknown,
  own?: LibraryMethod<O>["options"],
): O {
  const what = `connect with ${method}()`;
  if (!isOptions(options)) {
    throw misuse(
      "ERR_INVALID_ARG_TYPE",
      `Cannot ${what}: the options must be an object, got ${show(options)}${exampleFor(method, options, own)}`,
    );
  }
  if (method === "thread") return readOptions(what, options, THREAD_OPTIONS) as ConnectOptions as O;
  return readOptions(what, options, { ...COMMON_OPTIONS, ...own } as OptionTable<O>, own === undefined);
}

/** The line to write instead, where a method has one option that it cannot do without. */
function exampleFor(method: string, given: unknown, own: object | undefined): string {
  const needed = Object.entries((own ?? {}) as OptionTable<object>).filter(
    ([, { isRequired }]: [string, OptionType<unknown>]) => isRequired,
  );
  if (needed.length !== 1) return "";
  const value = typeof given === "string" ? show(given) : "…";
  return `; write ${method}({ ${needed[0]?.[0]}: ${value} })`;
}

/** Throws a TypeError for what is no connection method. */
export function checkMethod(method: unknown): void {
  const what = "connect with a method of your own";
  takeOption(what, "the method", method, METHOD);
}

/**
 * For a method of your own: throws a TypeError for an option that is neither common to all methods nor `known`. A misspelt `nodepath` must
 * not be ignored.
 */
export function checkOptions(method: string, options: object, known: readonly string[]): void {
  const all = [...Object.keys(COMMON_OPTIONS), ...known];
  const unknown = Object.keys(options).find((key) => !all.includes(key));
  if (unknown === undefined) return;
  throw misuse(
    "ERR_INVALID_ARG_VALUE",
    `Cannot connect with ${method}(): it has no option ${show(unknown)}; it has ${all.join(", ")}`,
  );
}

/** The same for the name of a user, container or host, which must not be taken for an option of the tool. Returns it. */
export function checkTarget(method: string, option: string, value: unknown): string {
  return takeOption(`connect with ${method}()`, option, value, target);
}
