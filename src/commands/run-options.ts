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

/** Options of `run()` and `run.lines()`. `timeoutMs` and `signal` end the command. */
export interface CommandOptions extends WaitOptions {
  /** The input for the command's stdin, which is empty by default. A stream is destroyed at the end. */
  readonly input?: CommandInput | Secret | undefined;
  /** The folder in which the command runs. By default the context's working directory. */
  readonly cwd?: string | undefined;
  /** Variables that are added to the context's environment. `undefined` removes one. */
  readonly env?: Readonly<Record<string, string | Secret | undefined>> | undefined;
  /** True makes `/bin/sh` run the command; a path names another shell. False by default. */
  readonly shell?: boolean | string | undefined;
  /** The user that runs the command: docs/commands.md#another-user. By default the context's own user. */
  readonly user?: string | undefined;
  /** True by default. False: an exit code other than 0, or an end by a signal, is not an error. */
  readonly check?: boolean | undefined;
}

/** Options of `run()`. `T` is the type of output: text, or bytes with `encoding: "buffer"`. */
export interface RunOptions<T extends string | Uint8Array = string> extends CommandOptions {
  /**
   * Called with output as it comes: text, or bytes with `encoding: "buffer"`. If it returns a promise, the
   * command waits for it.
   */
  readonly onStdout?: ((chunk: T) => unknown) | undefined;
  /** The same for stderr. */
  readonly onStderr?: ((chunk: T) => unknown) | undefined;
  /**
   * How many bytes of stdout, and of stderr, are kept; 16 MiB by default. More output ends the command with
   * an error, unless a callback takes that stream. Then the end of it is kept.
   */
  readonly maxOutputBytes?: number | undefined;
  /** `buffer` returns output as bytes, unchanged. `utf8`, the default, returns text. */
  readonly encoding?: (T extends string ? "utf8" : "buffer") | undefined;
  /** True, the default, removes the last line end of text. */
  readonly stripFinalNewline?: boolean | undefined;
}

/** Options of `run.lines()`. */
export interface LinesOptions extends CommandOptions {
  /** The stream whose lines are read; `stdout` by default. */
  readonly from?: "stdout" | "stderr" | "all" | undefined;
}

/** The longest string of V8. */
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

/** Like the type `environment`, but variables can be removed, and can be secrets. */
const env: OptionType<Readonly<Record<string, string | Secret | undefined>>> = {
  wanted: "an object of strings or Secrets without NUL, or undefined, by the names of variables",
  take(value, refuse) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw refuse("ERR_INVALID_ARG_TYPE");
    const variables: Record<string, string | Secret | undefined> = {};
    for (const [name, each] of Object.entries(value)) {
      if (name === "" || /[=\0]/.test(name)) throw refuse("ERR_INVALID_ARG_VALUE", "", name);
      const shown = each instanceof Secret ? each.reveal() : each;
      // The error does not show the value.
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

export const RUN_OPTIONS: OptionTable<RunOptions<string | Uint8Array>> = {
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
