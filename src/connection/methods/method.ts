import { Context } from "../../core/context.ts";
import {
  abortSignal,
  argumentList,
  callback,
  commandLine,
  duration,
  flag,
  instanceOf,
  target,
  text,
} from "../../options/option-types.ts";
import {
  isOptions,
  misuse,
  type OptionTable,
  type OptionType,
  readOptions,
  show,
  takeOption,
} from "../../options/options.ts";
import { MAX_CONTEXT_NAME } from "../../wire/values/references.ts";
import type { Dialogue, Password, Verdict } from "../prompts/dialogue.ts";
import type { ProvisionProgress } from "../runtime/plan.ts";

/** How long a connect may take by default. */
export const DEFAULT_CONNECT_MS = 30_000;

/** What to do for a target without node: docs/provision.md. */
export type Provision = false | "cache" | "memory";

/** Options that every connection method takes. */
export interface ConnectOptions {
  /** The context's name. By default it is made from the method and its target. */
  readonly name?: string | undefined;
  /**
   * Shown in the target's process list as `mitogen:<remoteName>`. By default `<user>@<host>:<pid>` of this process.
   * Must not contain slashes.
   */
  readonly remoteName?: string | undefined;
  /** The node to run on the target: a path, or a command with leading arguments. */
  readonly nodePath?: string | readonly string[] | undefined;
  /**
   * How long the connect may take, from spawn to greeting, in milliseconds; 30,000 by default. With `via`, the
   * context that connects keeps this limit. This process waits for its answer for up to the same time more, but at
   * least one and at most five seconds.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Ends the connect when it aborts, at any stage: the connect rejects with a {@link CancelledError} whose
   * `cause` is the signal's reason. Once the context is connected, the signal means nothing to it.
   */
  readonly signal?: AbortSignal | undefined;
  /** The context that starts the new one; by default this one. */
  readonly via?: Context | undefined;
  /** Whether the child's children may reach only the contexts above them. Inherited. */
  readonly unidirectional?: boolean | undefined;
  /**
   * What to do if the target has no node, or one that is of no use. `"cache"` brings a node and keeps it in a
   * folder of the target's user. `"memory"` brings one that is gone with the context. False by default. A context
   * behind another inherits the value of that context. See docs/provision.md.
   */
  readonly provision?: Provision | undefined;
  /** Called while a runtime is uploaded for this connect. */
  readonly onProgress?: ((progress: ProvisionProgress) => void) | undefined;
  /**
   * Whether the context writes a debug log to the target's temporary folder, as with `router.enableDebug()`:
   * docs/debugging.md.
   */
  readonly debug?: boolean | undefined;
  /**
   * Whether the program records a CPU profile of the context, as `MITOGEN_PROFILING` does of all contexts:
   * docs/debugging.md. Without effect in a connect that a context makes.
   */
  readonly profiling?: boolean | undefined;
}

/** Options of methods whose tool may ask for a password. */
export interface PasswordOptions extends ConnectOptions {
  /**
   * The password. It is typed once, when the tool asks; a second question means that it was wrong. It appears
   * in no argv, environment, log or error.
   */
  readonly password?: Password | undefined;
  /**
   * Answers to other questions, such as for a one-time code, by the ends of the questions, in any case. Each is typed
   * once, and never shown.
   */
  readonly answers?: Readonly<Record<string, Password>> | undefined;
}

/** The words of the boot command that a method puts into its command line: docs/bootstrap.md. */
export interface BootLine {
  /** The words, for a tool that starts a program directly. */
  readonly words: readonly string[];
  /**
   * The same command as one line, for an unknown login shell. Throws a RangeError for a node path that some
   * shells would change.
   */
  readonly shellLine: string;
  /** Lowercase hexadecimal digits, new for every connect. Prompts of this library contain them. */
  readonly nonce: string;
  /**
   * Whether the tool will have a controlling terminal, on which it asks and complains. Stdin and stdout stay
   * pipes.
   */
  readonly hasTerminal: boolean;
  /** The tool has failed before and said nothing: it may be asked to say more. @internal */
  readonly wasSilent?: boolean;
}

/**
 * A way to start a child: an argv, the questions the tool may ask, and how to read its messages. Everything
 * else is the same for all methods.
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
  /** The name in context names and errors: `ssh`. */
  readonly name: string;
  /**
   * The command that runs node if the caller gives none. If it is empty, node is looked for on the target.
   */
  readonly nodeCommand: readonly string[];
  /**
   * Whether the child's process is on the machine of the process that starts it, at the other end of pipes.
   * The kernel then tells each process when the other one ends. Contexts of other methods ask their parent
   * for signs of life: docs/connections.md#dead-peers.
   */
  readonly isLocal?: boolean;
  /**
   * The exit code with which the tool reports its own failures. If it is given, any other code and any output
   * on stdout come from the target, and mean that the login has succeeded.
   */
  readonly ownExitCode?: number;
  /** Appended to the error of a process that ended without a greeting, if nothing better is known. */
  readonly hint?: string;
  /** The context's name if the caller gave none. `pid` is what the child claims. */
  contextName(options: O, pid: number): string;
  /** Makes the command line. Throws if the options do not make one. */
  argv(options: O, boot: BootLine): string[];
  /**
   * How to recognise the tool's questions. A tool without a dialogue asks nothing, and is sent the payload at
   * once.
   */
  dialogue?(options: O, boot: BootLine): Dialogue;
  /**
   * Whether the tool is too old for an argument that this method adds by itself, by the complete lines that came: it is started again at
   * once, with an argv that has to do without.
   * @internal
   */
  startsAgain?(lines: readonly string[], argv: readonly string[]): boolean;
  /**
   * Whether the complete lines of output show that the other side was too busy to listen. The connect is then
   * tried again.
   */
  wasTurnedAway?(lines: readonly string[], exitCode: number | null): boolean;
  /** Looks for a verdict in the complete lines of output. Returns undefined if they say nothing special. */
  diagnose?(lines: readonly string[], options: O): Verdict | undefined;
}

/**
 * A method of this library. Its options are checked before anything else is done, here and again in the
 * process that starts the tool.
 */
export interface LibraryMethod<O extends ConnectOptions = ConnectOptions> extends ConnectionMethod<O> {
  /** The options that only this method has. */
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
  signal: abortSignal,
  via: instanceOf(Context, "a Context"),
  unidirectional: flag,
  provision,
  onProgress: callback as OptionType<(progress: ProvisionProgress) => void>,
  debug: flag,
  profiling: flag,
};

/** An option that is checked where it is used. */
const anything: OptionType<unknown> = { wanted: "anything", take: (value) => value };

/** Checks a method of the program's own. */
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

/** The options of a thread, which is not a process: `ThreadOptions`. */
const { name, signal, unidirectional, via, debug, profiling } = COMMON_OPTIONS;
const THREAD_OPTIONS = { name, signal, unidirectional, via, debug, profiling };

/**
 * Checks the options of a connect and returns them. `own` is the option table of a method of this library.
 * The options of other methods, and of methods that only another context knows, are checked where they are
 * used.
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

/** The line to write instead, if the method has exactly one required option. */
function exampleFor(method: string, given: unknown, own: object | undefined): string {
  const needed = Object.entries((own ?? {}) as OptionTable<object>).filter(
    ([, { isRequired }]: [string, OptionType<unknown>]) => isRequired,
  );
  if (needed.length !== 1) return "";
  const value = typeof given === "string" ? show(given) : "…";
  return `; write ${method}({ ${needed[0]?.[0]}: ${value} })`;
}

/** Throws a TypeError if `method` is no connection method. */
export function checkMethod(method: unknown): void {
  const what = "connect with a method of your own";
  takeOption(what, "the method", method, METHOD);
}

/**
 * For a method of your own: throws a TypeError if an option is neither common to all methods nor `known`. A
 * misspelt `nodepath` must not be ignored.
 */
export function checkOptions(method: string, options: object, known: readonly string[]): void {
  const what = connectWith("check options", method);
  const own = takeOption(what, "the names of the options", known, argumentList);
  const table = Object.fromEntries([...Object.keys(COMMON_OPTIONS), ...own].map((name) => [name, anything]));
  readOptions(what, options, table as OptionTable<object>);
}

/**
 * For a method of your own: throws if the name of a user, container or host could be taken for an option of
 * the tool. Returns the name.
 */
export function checkTarget(method: string, option: string, value: unknown): string {
  const name = takeOption("check a target", "the second argument, the option's name,", option, text);
  return takeOption(connectWith("check a target", method), name, value, target);
}

/** What an error of a connect says is impossible. */
function connectWith(what: string, method: unknown): string {
  return `connect with ${takeOption(what, "the first argument, the method's name,", method, text)}()`;
}
