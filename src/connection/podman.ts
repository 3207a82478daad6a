import { checkContainerOrImage, type DockerOptions, userFlag } from "./docker.ts";
import { type ConnectionMethod, checkOptions } from "./method.ts";

/** Options of `router.podman()`: a running container, or an image to start one of. */
export interface PodmanOptions extends Omit<DockerOptions, "dockerPath"> {
  /** The client; `podman` by default. */
  readonly podmanPath?: string | undefined;
}

/** A container, through podman. */
export const podmanMethod: ConnectionMethod<PodmanOptions> = {
  name: "podman",
  nodeCommand: [],
  contextName: ({ container, image }) => `podman.${container ?? image}`,
  argv(options, boot) {
    checkOptions("podman", options, ["container", "image", "username", "podmanPath"]);
    const { podmanPath = "podman" } = options;
    const user = userFlag("podman", options.username);
    const [container, image] = checkContainerOrImage("podman", options);
    return container === undefined
      ? [podmanPath, "run", "--interactive", ...user, "--rm", "--", image, ...boot.words]
      : [podmanPath, "exec", ...user, "--interactive", "--", container, ...boot.words];
  },
};
