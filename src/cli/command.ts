import type { Terminal } from "./screen/terminal.ts";

/** An option of a command, as its help shows it and the parser takes it. */
export interface Option {
  /** `optional` takes a value only as `--name=VALUE`: the value, or true without one. */
  readonly type: "string" | "boolean" | "optional";
  /** One letter: `-n`. */
  readonly short?: string;
  /** May be given more than once; its value is then a list. */
  readonly multiple?: boolean;
  /** The name of the value in the help, such as `HOSTS`. */
  readonly value?: string;
  /** What the option does, for the help: a sentence without its full stop. */
  readonly text: string;
}

export type OptionValue = string | boolean | string[] | undefined;

/** The options of one command by their long names. */
export type OptionTable = Readonly<Record<string, Option>>;

/** One use of a command. */
export interface Call {
  /** The command's name. */
  readonly name: string;
  /** The values of options, by the names of the command's table. */
  readonly values: Readonly<Record<string, OptionValue>>;
  /** The operands: words up to `--` that are not options. */
  readonly operands: readonly string[];
  /** The words after `--`; undefined without `--`. */
  readonly rest: readonly string[] | undefined;
  readonly out: Terminal;
  /** Aborts at the first Ctrl-C, and when nobody reads the output any more. */
  readonly signal: AbortSignal;
  /** Does work during which a signal ends the program at once: it runs the user's code, which may loop for ever. */
  readonly unguarded: <T>(work: () => Promise<T>) => Promise<T>;
  readonly commands: CommandTable;
}

/** One command of `mitogen`: `src/cli/commands/NAME.ts` exports it as `command`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** How it is written, without `mitogen NAME`: one string for each form. */
  readonly usage: readonly string[];
  /** The description for its help: paragraphs; lines that begin with spaces stay as they are. */
  readonly text?: string;
  readonly options: OptionTable;
  /** Resolves with the exit status. Throws a UsageError if the command line is wrong. */
  run(call: Call): Promise<number>;
  /** More help for these operands, such as a task's own options. */
  help?(call: Call): Promise<string | undefined>;
}

/** The commands by name; each is loaded when it is used. */
export type CommandTable = Readonly<Record<string, CommandEntry>>;

export interface CommandEntry {
  /** As in the command itself, so that a list of commands loads none. */
  readonly summary: string;
  load(): Promise<{ command: Command }>;
}
