import { argument, listOf, text } from "../options/option-types.ts";
import { misuse, show, takeOption } from "../options/options.ts";
import { quoteForSh } from "../text/shell-quote.ts";

/** A command: a program with its arguments, or one string. See `run()`. */
export type Command = string | readonly string[];

/** A command in the form in which it is started, and in the form in which errors show it. */
export interface ParsedCommand {
  readonly argv: readonly [file: string, ...args: string[]];
  readonly text: string;
}

const WHAT = "run a command";
const DEFAULT_SHELL = "/bin/sh";
/** Characters that only a shell interprets. */
const SHELL_SYNTAX = /["'\\`$|&;<>()*?[\]\r\n]|(?:^|\s)[~#]/;
const words = listOf(argument, "a string, or a list of 1 or more strings, without NUL", 1);

/**
 * Parses a command into program and arguments. Without a shell, a string is split at spaces; a string with
 * shell syntax is refused, because nothing would interpret it. With a shell, the string, or the first string
 * of a list, is a script, and the other strings are its `$1`, `$2` ….
 */
export function parseCommand(command: unknown, shell: boolean | string = false): ParsedCommand {
  const given = typeof command === "string" ? [takeOption(WHAT, "the command", command, text)] : command;
  const [first = "", ...rest] = takeOption(WHAT, "the command", given, words);
  takeOption(WHAT, "the program of the command", first, text);
  if (shell !== false) {
    const file = shell === true ? DEFAULT_SHELL : shell;
    return {
      argv: [file, "-c", first, ...(rest.length > 0 ? [file, ...rest] : [])],
      text: rest.length > 0 ? quoted([first, ...rest]) : first,
    };
  }
  if (typeof command !== "string") return { argv: [first, ...rest], text: quoted([first, ...rest]) };
  const [file = "", ...args] = splitWords(first);
  return { argv: [file, ...args], text: quoted([file, ...args]) };
}

function splitWords(command: string): string[] {
  const found = SHELL_SYNTAX.exec(command)?.[0].trim();
  if (found !== undefined) {
    throw refusal(
      command,
      `${found === "" ? "a line end" : JSON.stringify(found)} has a meaning only for a shell; pass program and arguments as a list, or shell: true`,
    );
  }
  const list = command.split(/\s+/).filter((word) => word !== "");
  if (list.length === 0) throw refusal(command, "it has no words");
  if (list[0]?.includes("=") === true) {
    throw refusal(command, "it begins with a variable; pass the variable in env");
  }
  return list;
}

function refusal(command: string, why: string): Error {
  return misuse("ERR_INVALID_ARG_VALUE", `Cannot run ${show(command)}: ${why}`);
}

function quoted(argv: readonly string[]): string {
  return argv.map(quoteForSh).join(" ");
}
