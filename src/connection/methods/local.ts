import { OWN_NODE } from "../../process/own-node.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.local()`: those of every method. */
export type LocalOptions = ConnectOptions;

/**
 * Starts a child process on this machine, as this user, with the environment and working directory of this
 * process.
 */
export const localMethod: LibraryMethod<LocalOptions> = {
  name: "local",
  isLocal: true,
  options: {},
  nodeCommand: OWN_NODE,
  contextName: (_options, pid) => `local.${pid}`,
  argv: (_options, boot) => [...boot.words],
};
