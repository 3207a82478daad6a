import { target, text } from "../../options/option-types.ts";
import { checkContainerOrImage, type DockerOptions, userFlag } from "./docker.ts";
import type { LibraryMethod } from "./method.ts";

/** Options of `router.podman()`: a running container, or an image to start one of. */
export interface PodmanOptions extends Omit<DockerOptions, "dockerPath"> {
  /** The client; `podman` by default. */
  readonly podmanPath?: string | undefined;
}

/** Enters a container with podman. */
export const podmanMethod: LibraryMethod<PodmanOptions> = {
  name: "podman",
  options: { container: target, image: target, username: target, podmanPath: text },
  nodeCommand: [],
  contextName: ({ container, image }) => `podman.${container ?? image}`,
  argv(options, boot) {
    const { podmanPath = "podman" } = options;
    const user = userFlag(options.username);
    const [container, image] = checkContainerOrImage("podman", options);
    return container === undefined
      ? [podmanPath, "run", "--interactive", ...user, "--rm", "--", image, ...boot.words]
      : [podmanPath, "exec", ...user, "--interactive", "--", container, ...boot.words];
  },
};
