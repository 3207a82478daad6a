import { required, target, text } from "../../options/option-types.ts";
import { userFlag } from "./docker.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.buildah()`. */
export interface BuildahOptions extends ConnectOptions {
  /** A working container, as `buildah from` printed it. */
  readonly container: string;
  /** The user or `user:group` in the container, `--user` of buildah-run(1); as the image says by default. */
  readonly username?: string | undefined;
  /** The client; `buildah` by default. */
  readonly buildahPath?: string | undefined;
}

/** Enters a container that is being built. */
export const buildahMethod: LibraryMethod<BuildahOptions> = {
  name: "buildah",
  isLocal: true,
  options: { container: required(target), username: target, buildahPath: text },
  nodeCommand: [],
  contextName: ({ container }) => `buildah.${container}`,
  argv(options, boot) {
    const { container, buildahPath = "buildah", username } = options;
    return [buildahPath, "run", ...userFlag(username), "--", container, ...boot.words];
  },
};
