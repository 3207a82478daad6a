import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.lxc()`. */
export interface LxcOptions extends ConnectOptions {
  readonly container: string;
  /** The client; `lxc-attach` by default. */
  readonly lxcAttachPath?: string | undefined;
}

/** A classic LXC container, through `lxc-attach`. */
export const lxcMethod: ConnectionMethod<LxcOptions> = {
  name: "lxc",
  isLocal: true,
  nodeCommand: [],
  hint: "lxc-attach hides many errors: look into the logs of the host, or run it by hand",
  contextName: ({ container }) => `lxc.${container}`,
  argv(options, boot) {
    checkOptions("lxc", options, ["container", "lxcAttachPath"]);
    const container = checkTarget("lxc", "container", options.container);
    const { lxcAttachPath = "lxc-attach" } = options;
    return [lxcAttachPath, "--clear-env", "--name", container, "--", ...boot.words];
  },
};
