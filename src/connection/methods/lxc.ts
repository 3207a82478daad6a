import { required, target, text } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.lxc()`. */
export interface LxcOptions extends ConnectOptions {
  /** The name of a running container. */
  readonly container: string;
  /** The client; `lxc-attach` by default. */
  readonly lxcAttachPath?: string | undefined;
}

/** Enters a classic LXC container with `lxc-attach`. */
export const lxcMethod: LibraryMethod<LxcOptions> = {
  name: "lxc",
  isLocal: true,
  options: { container: required(target), lxcAttachPath: text },
  nodeCommand: [],
  hint: "lxc-attach hides many errors: check the logs of the host, or run the command by hand",
  contextName: ({ container }) => `lxc.${container}`,
  argv(options, boot) {
    const { container, lxcAttachPath = "lxc-attach" } = options;
    return [lxcAttachPath, "--clear-env", "--name", container, "--", ...boot.words];
  },
};
