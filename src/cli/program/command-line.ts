/** Runs a command line: a command, the help, or an error. */
import { readFileSync } from "node:fs";
import { LIBRARY_FILE } from "../../library.ts";
import { oneLine, showControls } from "../../text/harmless.ts";
import type { Call } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { overview, page } from "../help.ts";
import { parse, unknownCommand } from "../parse.ts";
import type { Terminal } from "../screen/terminal.ts";
import { UsageError } from "../usage-error.ts";
import { COMMANDS } from "./commands.ts";
import type { Signals } from "./signals.ts";

/** Runs a command line. Returns the exit status. */
export async function runCommandLine(
  words: readonly string[],
  out: Terminal,
  signals: Signals,
): Promise<number> {
  const { isInterrupted } = signals;
  try {
    const status = await start(words, out, signals);
    return isInterrupted() ? ExitStatus.Interrupted : status;
  } catch (error) {
    if (isInterrupted()) return ExitStatus.Interrupted;
    // Nobody reads stdout any more. Work that ended because of that has not failed.
    if (out.isClosed) return ExitStatus.Ok;
    if (error instanceof DOMException && error.name === "AbortError") return ExitStatus.Interrupted;
    return explain(error, out);
  }
}

async function start(
  words: readonly string[],
  out: Terminal,
  { signal, unguarded }: Signals,
): Promise<number> {
  const [name, ...others] = words;
  if (name === undefined || name === "--help" || name === "-h") {
    out.print(overview(COMMANDS, out));
    return ExitStatus.Ok;
  }
  if (name === "--version" || name === "-V") {
    out.print(version());
    return ExitStatus.Ok;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) throw unknownCommand(name, Object.keys(COMMANDS));
  const { command } = await entry.load();
  const parsed = parse(others, command.options, name);
  const call: Call = { name, ...parsed, out, signal, unguarded, commands: COMMANDS };
  if (call.values["help"]) {
    out.print(page(command, out, await command.help?.(call)));
    return ExitStatus.Ok;
  }
  return command.run(call);
}

/**
 * Reports an error: in one line if the command line or the configuration is wrong, with the stack if this program is.
 */
function explain(error: unknown, out: Terminal): number {
  const { red } = out.colours;
  if (error instanceof UsageError) {
    const help = error.command === undefined ? "mitogen help" : `mitogen help ${error.command}`;
    out.note(`${red("mitogen:")} ${oneLine(error.message)}\nTry "${help}".`);
    return ExitStatus.Usage;
  }
  const { message, code, stack } = Object(error) as { message?: unknown; code?: unknown; stack?: unknown };
  const isKnown = typeof code === "string" && typeof message === "string";
  out.note(`${red("mitogen:")} ${isKnown ? oneLine(message) : showControls(String(stack ?? error), "\n")}`);
  return ExitStatus.Usage;
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", LIBRARY_FILE), "utf8"));
  return version;
}
