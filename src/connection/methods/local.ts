import { OWN_NODE } from "../../process/own-node.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.local()`: those of every method. */
export type LocalOptions = ConnectOptions;

/** A child process on this machine, as this user, with this process's environment and working directory. */
export const localMethod: LibraryMethod<LocalOptions> = {
  name: "local",
  isLocal: true,
  options: {},
  nodeCommand: OWN_NODE,
  contextName: (_options, pid) => `local.${pid}`,
  argv: (_options, boot) => [...boot.words],
};
