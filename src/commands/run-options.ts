import {
  argument,
  callback,
  flag,
  integer,
  oneOf,
  target,
  text,
  WAIT_OPTIONS,
} from "../options/option-types.ts";
import type { OptionTable, OptionType } from "../options/options.ts";
import type { WaitOptions } from "../waiting/wait.ts";
import { Secret } from "../wire/values/secret.ts";
import type { CommandInput } from "./running.ts";

/** Options of `run()` and `run.lines()`. The command ends with `timeoutMs` and `signal`. */
export interface CommandOptions extends WaitOptions {
  /** Written to the command's stdin, which is empty otherwise. A stream is destroyed at the end. */
  readonly input?: CommandInput | Secret | undefined;
  /** The folder it runs in; by default where the context is. */
  readonly cwd?: string | undefined;
  /** What is changed in the context's environment. `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | Secret | undefined>> | undefined;
  /** True: `/bin/sh` reads the command. Or the path of another shell. */
  readonly shell?: boolean | string | undefined;
  /** The user to run it as: docs/commands.md#another-user. */
  readonly user?: string | undefined;
  /** False: another exit code than 0, or a signal, is no error. */
  readonly check?: boolean | undefined;
}

/** Options of `run()`. */
export interface RunOptions extends CommandOptions {
  /** Called with output as it comes: text, or bytes with `encoding: "buffer"`. The command waits for a promise that it returns. */
  // biome-ignore lint/suspicious/noExplicitAny: text or bytes
  readonly onStdout?: ((chunk: any) => unknown) | undefined;
  /** The same for stderr. */
  // biome-ignore lint/suspicious/noExplicitAny: text or bytes
  readonly onStderr?: ((chunk: any) => unknown) | undefined;
  /**
   * How much of stdout, and of stderr, is kept; 16 MiB by default. More ends the command with an error, unless a callback takes that stream:
   * then the end of it is kept.
   */
  readonly maxOutputBytes?: number | undefined;
  /** `buffer`: output is bytes, as it came. `utf8`, the default: text. */
  readonly encoding?: "utf8" | "buffer" | undefined;
  /** False: the last line end of text stays. */
  readonly stripFinalNewline?: boolean | undefined;
}

/** Options of `run.lines()`. */
export interface LinesOptions extends CommandOptions {
  /** Whose lines are read; `stdout` by default. */
  readonly from?: "stdout" | "stderr" | "all" | undefined;
}

/** The longest text that V8 makes. */
const MAX_OUTPUT_BYTES = 0x1fffffe8;

const shell: OptionType<boolean | string> = {
  wanted: "true, false or the path of a shell",
  take: (value, refuse) => (typeof value === "boolean" ? value : text.take(value, refuse)),
};

const input: OptionType<CommandInput | Secret> = {
  wanted: "a string, a Secret, bytes, a stream or another iterable of strings or bytes",
  take(value, refuse) {
    if (typeof value === "string" || value instanceof Secret) return value;
    const isIterable =
      typeof value === "object" &&
      value !== null &&
      (Symbol.asyncIterator in value || Symbol.iterator in value);
    if (!isIterable) throw refuse("ERR_INVALID_ARG_TYPE");
    return value as CommandInput;
  },
};

/** Like the type `environment`, but variables can be removed, and kept out of sight. */
const env: OptionType<Readonly<Record<string, string | Secret | undefined>>> = {
  wanted: "an object of strings or Secrets without NUL, or undefined, by the names of variables",
  take(value, refuse) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw refuse("ERR_INVALID_ARG_TYPE");
    const variables: Record<string, string | Secret | undefined> = {};
    for (const [name, each] of Object.entries(value)) {
      if (name === "" || /[=\0]/.test(name)) throw refuse("ERR_INVALID_ARG_VALUE", "", name);
      const shown = each instanceof Secret ? each.reveal() : each;
      // What is wrong with it is told without the value.
      if (shown !== undefined) argument.take(shown, (code) => refuse(code, `.${name}`, typeof shown));
      Object.defineProperty(variables, name, { value: each, enumerable: true });
    }
    return variables;
  },
};

const COMMAND_OPTIONS: OptionTable<CommandOptions> = {
  ...WAIT_OPTIONS,
  input,
  cwd: text,
  env,
  shell,
  user: target,
  check: flag,
};

export const RUN_OPTIONS: OptionTable<RunOptions> = {
  ...COMMAND_OPTIONS,
  onStdout: callback,
  onStderr: callback,
  maxOutputBytes: integer(0, MAX_OUTPUT_BYTES),
  encoding: oneOf("utf8", "buffer"),
  stripFinalNewline: flag,
};

export const LINES_OPTIONS: OptionTable<LinesOptions> = {
  ...COMMAND_OPTIONS,
  from: oneOf("stdout", "stderr", "all"),
};
