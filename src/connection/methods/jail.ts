import { required, target, text } from "../../options/option-types.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.jail()`. */
export interface JailOptions extends ConnectOptions {
  /** The jail's name or number. */
  readonly container: string;
  /** A user of the jail; `root` by default. */
  readonly username?: string | undefined;
  /** `/usr/sbin/jexec` by default. */
  readonly jexecPath?: string | undefined;
}

/** Enters a FreeBSD jail. */
export const jailMethod: LibraryMethod<JailOptions> = {
  name: "jail",
  isLocal: true,
  options: { container: required(target), username: target, jexecPath: text },
  nodeCommand: [],
  contextName: ({ container }) => `jail.${container}`,
  argv(options, boot) {
    const { container, jexecPath = "/usr/sbin/jexec", username } = options;
    const user = username === undefined ? [] : ["-U", username];
    return [jexecPath, ...user, container, ...boot.words];
  },
};
