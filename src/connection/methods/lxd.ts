import { required, target, text } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.lxd()`. */
export interface LxdOptions extends ConnectOptions {
  /** The name of a running container. */
  readonly container: string;
  /** The client; `lxc` by default. */
  readonly lxcPath?: string | undefined;
}

/** Enters an LXD container with its client. */
export const lxdMethod: LibraryMethod<LxdOptions> = {
  name: "lxd",
  options: { container: required(target), lxcPath: text },
  nodeCommand: [],
  hint: "lxc hides many errors: check the logs of the host, or run the command by hand",
  contextName: ({ container }) => `lxd.${container}`,
  argv(options, boot) {
    const { container, lxcPath = "lxc" } = options;
    return [lxcPath, "exec", "--mode=noninteractive", container, "--", ...boot.words];
  },
};
