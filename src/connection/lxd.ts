import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.lxd()`. */
export interface LxdOptions extends ConnectOptions {
  readonly container: string;
  /** The client; `lxc` by default. */
  readonly lxcPath?: string | undefined;
}

/** A container of LXD, through its client. */
export const lxdMethod: ConnectionMethod<LxdOptions> = {
  name: "lxd",
  nodeCommand: [],
  hint: "lxc hides many errors: look into the logs of the host, or run it by hand",
  contextName: ({ container }) => `lxd.${container}`,
  argv(options, boot) {
    checkOptions("lxd", options, ["container", "lxcPath"]);
    const container = checkTarget("lxd", "container", options.container);
    const { lxcPath = "lxc" } = options;
    return [lxcPath, "exec", "--mode=noninteractive", container, "--", ...boot.words];
  },
};
