import { target, text } from "../../options/option-types.ts";
import { misuse } from "../../options/options.ts";
import type { ConnectOptions, LibraryMethod } from "./method.ts";

/** Options of `router.docker()`: a running container, or an image to start one of. */
export interface DockerOptions extends ConnectOptions {
  /** The name or id of a running container. Give this or `image`, not both. */
  readonly container?: string | undefined;
  /** An image. The container that is made from it is removed when the context ends. */
  readonly image?: string | undefined;
  /** The user in the container; by default the one that the container or image names. */
  readonly username?: string | undefined;
  /** The client; `docker` by default. */
  readonly dockerPath?: string | undefined;
}

/** Enters a container with the docker client. */
export const dockerMethod: LibraryMethod<DockerOptions> = {
  name: "docker",
  options: { container: target, image: target, username: target, dockerPath: text },
  nodeCommand: [],
  contextName: ({ container, image }) => `docker.${container ?? image}`,
  argv(options, boot) {
    const { dockerPath = "docker" } = options;
    const user = userFlag(options.username);
    const [container, image] = checkContainerOrImage("docker", options);
    // No --tty, because a terminal would mangle the bytes and cut them into pieces.
    return container === undefined
      ? [dockerPath, "run", "--interactive", ...user, "--rm", image, ...boot.words]
      : [dockerPath, "exec", "--interactive", ...user, container, ...boot.words];
  },
};

/** `--user=…`, or nothing. */
export function userFlag(username: string | undefined): string[] {
  return username === undefined ? [] : [`--user=${username}`];
}

/** Throws unless exactly one of them is given. Returns it. */
export function checkContainerOrImage(
  method: string,
  { container, image }: Pick<DockerOptions, "container" | "image">,
): [container: string] | [container: undefined, image: string] {
  if (container !== undefined && image === undefined) return [container];
  if (container === undefined && image !== undefined) return [undefined, image];
  const given = container === undefined ? "got neither" : "not both";
  throw misuse(
    "ERR_INVALID_ARG_VALUE",
    `Cannot connect with ${method}(): it takes a container or an image, ${given}`,
  );
}
