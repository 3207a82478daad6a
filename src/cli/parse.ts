import { parseArgs } from "node:util";
import { didYouMean, nearest } from "../text/nearest.ts";
import type { Call, Option, OptionTable, OptionValue } from "./command.ts";
import { UsageError } from "./usage-error.ts";

/** Every command has it. */
export const HELP_OPTION: OptionTable = {
  help: { type: "boolean", short: "h", text: "show this page" },
};

/** Parses the words after a command's name by its table of options. Throws a UsageError. */
export function parse(
  words: readonly string[],
  table: OptionTable,
  command: string,
): Pick<Call, "values" | "operands" | "rest"> {
  const options = { ...table, ...HELP_OPTION };
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(Object.entries(options).map(([name, option]) => [name, forParser(option)])),
    strict: false, // errors of this program's own: with the nearest name
    allowPositionals: true,
    tokens: true,
  });
  const values: Record<string, OptionValue> = {};
  const operands: string[] = [];
  let rest: string[] | undefined;
  for (const token of tokens) {
    if (token.kind === "option-terminator") rest = [];
    else if (token.kind === "positional") (rest ?? operands).push(token.value);
    else {
      const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
      if (option === undefined) throw unknownOption(token.rawName, options, command);
      const value = take(token, option, command);
      if (option.multiple) values[token.name] = [...((values[token.name] as string[]) ?? []), String(value)];
      else values[token.name] = value;
    }
  }
  return { values, operands, rest };
}

/** `name` is not a command. */
export function unknownCommand(name: string, names: readonly string[]): UsageError {
  if (name.startsWith("-")) {
    return new UsageError(
      `Unknown option ${name}: write the options of a command after its name, as in "mitogen exec --on web1 -- uptime"`,
    );
  }
  return new UsageError(`Unknown command "${name}"${didYouMean(name, names)}`);
}

function forParser({ type, short }: Option): { type: "string" | "boolean"; short?: string } {
  return { type: type === "string" ? "string" : "boolean", ...(short !== undefined && { short }) };
}

function take(
  {
    rawName,
    value,
    inlineValue,
  }: { rawName: string; value?: string | undefined; inlineValue?: boolean | undefined },
  option: Option,
  command: string,
): string | boolean {
  switch (option.type) {
    case "boolean":
      if (value !== undefined) throw new UsageError(`${rawName} takes no value, got "${value}"`, command);
      return true;
    case "optional":
      if (value === "")
        throw new UsageError(
          `${rawName}= has no value: write one after the "=", or leave out the "="`,
          command,
        );
      return value ?? true;
    case "string": {
      const wanted = option.value ?? "VALUE";
      if (value === undefined || value === "") {
        throw new UsageError(`${rawName} needs a value: ${rawName} ${wanted}`, command);
      }
      if (!inlineValue && value.startsWith("-")) {
        throw new UsageError(
          `${rawName} needs a value, but "${value}" follows; write ${rawName}=${value} if that is the value`,
          command,
        );
      }
      return value;
    }
  }
}

function unknownOption(rawName: string, options: OptionTable, command: string): UsageError {
  const near = nearest(rawName.replace(/^-+/, ""), Object.keys(options));
  const hint = near === undefined ? "" : `; did you mean --${near}?`;
  return new UsageError(`Unknown option ${rawName}${hint}`, command);
}
