import type { CommandTable } from "../command.ts";

/** All commands, in the order of the overview. */
export const COMMANDS: CommandTable = {
  help: { summary: "explains a command", load: () => import("../commands/help.ts") },
};
