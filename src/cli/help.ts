import type { Command, CommandTable, Option, OptionTable } from "./command.ts";
import { HELP_OPTION } from "./parse.ts";
import { hang } from "./screen/fit.ts";
import type { Terminal } from "./screen/terminal.ts";

const INDENT = "    ";

/** What `mitogen` prints: the commands, each in a line. */
export function overview(table: CommandTable, out: Terminal): string {
  const { bold } = out.colours;
  const width = Math.max(...Object.keys(table).map((name) => name.length)) + 2;
  const lines = Object.entries(table).map(([name, { summary }]) =>
    hang(`${INDENT}${name.padEnd(width)}`, summary, out),
  );
  return [
    bold("mitogen: runs your functions and commands on many hosts; only node is needed there"),
    "",
    bold("USAGE"),
    `${INDENT}mitogen COMMAND [options]`,
    `${INDENT}mitogen help COMMAND`,
    `${INDENT}mitogen --version`,
    "",
    bold("COMMANDS"),
    ...lines,
    "",
    bold("EXAMPLES"),
    `${INDENT}mitogen exec --on local:3 -- uptime        three contexts on this machine, nothing else needed`,
    `${INDENT}mitogen run tasks.ts#restart --on @web -- nginx`,
  ]
    .map((line) => line.trimEnd())
    .join("\n");
}

/** The help of one command, in the form of a man page. `more` follows the description. */
export function page(command: Command, out: Terminal, more?: string): string {
  const { bold } = out.colours;
  const { name, summary, usage, text, options } = command;
  const parts = [
    bold("NAME"),
    `${INDENT}mitogen ${name} - ${summary}`,
    "",
    bold("USAGE"),
    ...usage.map((form) => hang(`${INDENT}mitogen ${name} `, form, out)),
  ];
  if (text !== undefined) parts.push("", bold("DESCRIPTION"), ...paragraphs(text, out));
  if (more !== undefined) parts.push("", ...paragraphs(more, out, ""));
  parts.push("", bold("OPTIONS"), ...optionLines({ ...options, ...HELP_OPTION }, out));
  parts.push("", bold("EXIT STATUS"), ...paragraphs(EXIT_TEXT, out));
  return parts.map((line) => line.trimEnd()).join("\n");
}

const EXIT_TEXT = `0 every host is ok, 1 some hosts failed, 2 the command line or the configuration cannot be used, \
3 some hosts could not be reached, 130 after Ctrl-C`;

function optionLines(options: OptionTable, out: Terminal): string[] {
  return Object.entries(options).flatMap(([name, option]) => [
    `${INDENT}${out.colours.bold(written(name, option))}`,
    hang(`${INDENT}${INDENT}`, option.text, out),
  ]);
}

function written(name: string, { type, short, value = "VALUE" }: Option): string {
  const long = `--${name}${type === "string" ? ` ${value}` : type === "optional" ? `[=${value}]` : ""}`;
  return short === undefined ? long : `-${short}, ${long}`;
}

function paragraphs(text: string, out: Terminal, indent = INDENT): string[] {
  return text.split("\n").map((line) => (/^\s|^$/.test(line) ? indent + line : hang(indent, line, out)));
}
