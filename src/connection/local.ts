import { type ConnectionMethod, type ConnectOptions, checkOptions } from "./method.ts";

export type LocalOptions = ConnectOptions;

/** A child process on this machine, as this user, with this process's environment and working directory. */
export const localMethod: ConnectionMethod<LocalOptions> = {
  name: "local",
  isLocal: true,
  nodeCommand: [process.execPath],
  contextName: (_options, pid) => `local.${pid}`,
  argv(options, boot) {
    checkOptions("local", options, []);
    return [...boot.words];
  },
};
