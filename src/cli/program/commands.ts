import type { CommandTable } from "../command.ts";

/** All commands, in the order of the overview. */
export const COMMANDS: CommandTable = {
  hosts: {
    summary: "lists the hosts that the inventory has, or that a pattern means",
    load: () => import("../commands/hosts.ts"),
  },
  runtime: {
    summary: "manages the nodes that are brought to hosts without node",
    load: () => import("../commands/runtime.ts"),
  },
  init: {
    summary: "writes a config and a first task to start from",
    load: () => import("../commands/init.ts"),
  },
  completion: {
    summary: "prints what makes bash, zsh or fish complete commands, hosts and functions",
    load: () => import("../commands/completion.ts"),
  },
  help: { summary: "explains a command", load: () => import("../commands/help.ts") },
};
