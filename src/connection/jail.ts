import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.jail()`. */
export interface JailOptions extends ConnectOptions {
  /** The jail's name or number. */
  readonly container: string;
  /** A user of the jail; root by default. */
  readonly username?: string | undefined;
  /** `/usr/sbin/jexec` by default. */
  readonly jexecPath?: string | undefined;
}

/** A FreeBSD jail. */
export const jailMethod: ConnectionMethod<JailOptions> = {
  name: "jail",
  isLocal: true,
  nodeCommand: [],
  contextName: ({ container }) => `jail.${container}`,
  argv(options, boot) {
    checkOptions("jail", options, ["container", "username", "jexecPath"]);
    const { jexecPath = "/usr/sbin/jexec", username } = options;
    const user = username === undefined ? [] : ["-U", checkTarget("jail", "username", username)];
    return [jexecPath, ...user, checkTarget("jail", "container", options.container), ...boot.words];
  },
};
