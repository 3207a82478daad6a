import { userFlag } from "./docker.ts";
import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.buildah()`. */
export interface BuildahOptions extends ConnectOptions {
  /** A working container: what `buildah from` answered. */
  readonly container: string;
  readonly username?: string | undefined;
  /** The client; `buildah` by default. */
  readonly buildahPath?: string | undefined;
}

/** A container that is being built. */
export const buildahMethod: ConnectionMethod<BuildahOptions> = {
  name: "buildah",
  isLocal: true,
  nodeCommand: [],
  contextName: ({ container }) => `buildah.${container}`,
  argv(options, boot) {
    checkOptions("buildah", options, ["container", "username", "buildahPath"]);
    const { buildahPath = "buildah", username } = options;
    const container = checkTarget("buildah", "container", options.container);
    return [buildahPath, "run", ...userFlag("buildah", username), "--", container, ...boot.words];
  },
};
