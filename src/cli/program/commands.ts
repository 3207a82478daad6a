import type { CommandTable } from "../command.ts";

/** All commands, in the order of the overview. */
export const COMMANDS: CommandTable = {
  run: { summary: "calls a function of yours on hosts", load: () => import("../commands/run.ts") },
  exec: { summary: "runs a command on hosts", load: () => import("../commands/exec.ts") },
  put: { summary: "copies files to hosts", load: () => import("../commands/put.ts") },
  get: { summary: "copies files from hosts", load: () => import("../commands/get.ts") },
  sync: {
    summary: "copies a local folder to hosts with rsync",
    load: () => import("../commands/sync.ts"),
  },
  ping: {
    summary: "connects to hosts and measures how fast they answer",
    load: () => import("../commands/ping.ts"),
  },
  facts: {
    summary: "shows system, processors, memory, load, node and user of hosts",
    load: () => import("../commands/facts.ts"),
  },
  doctor: {
    summary: "connects step by step, and says what is wrong and how to fix it",
    load: () => import("../commands/doctor.ts"),
  },
  hosts: {
    summary: "lists the hosts of the inventory, or those that a pattern selects",
    load: () => import("../commands/hosts.ts"),
  },
  runtime: {
    summary: "manages the copies of node for hosts that have none",
    load: () => import("../commands/runtime.ts"),
  },
  init: {
    summary: "writes a config and a first task to start from",
    load: () => import("../commands/init.ts"),
  },
  completion: {
    summary: "prints a script for completion in bash, zsh or fish",
    load: () => import("../commands/completion.ts"),
  },
  up: {
    summary: "keeps connections to hosts open, for the commands that follow",
    load: () => import("../commands/up.ts"),
  },
  down: {
    summary: 'ends the connections that "mitogen up" keeps',
    load: () => import("../commands/down.ts"),
  },
  help: { summary: "explains a command", load: () => import("../commands/help.ts") },
};
