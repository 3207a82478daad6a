import type { Command } from "../command.ts";
import { ExitStatus } from "../exit-status.ts";
import { overview, page } from "../help.ts";
import { unknownCommand } from "../parse.ts";
import { UsageError } from "../usage-error.ts";

export const command: Command = {
  name: "help",
  summary: "explains a command",
  usage: ["[COMMAND]"],
  options: {},
  async run({ operands, commands, out }) {
    const [name, ...others] = operands;
    if (others.length > 0) throw new UsageError("help takes one command", "help");
    if (name === undefined) {
      out.print(overview(commands, out));
      return ExitStatus.Ok;
    }
    const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (entry === undefined) throw unknownCommand(name, Object.keys(commands));
    out.print(page((await entry.load()).command, out));
    return ExitStatus.Ok;
  },
};
