import { type ConnectionMethod, type ConnectOptions, checkOptions, checkTarget } from "./method.ts";

/** Options of `router.docker()`: a running container, or an image to start one of. */
export interface DockerOptions extends ConnectOptions {
  readonly container?: string | undefined;
  /** A container is made of it, which is removed when the context ends. */
  readonly image?: string | undefined;
  /** Who to be there; by default as container or image say. */
  readonly username?: string | undefined;
  /** The client; `docker` by default. */
  readonly dockerPath?: string | undefined;
}

/** A container, through the docker client. */
export const dockerMethod: ConnectionMethod<DockerOptions> = {
  name: "docker",
  nodeCommand: [],
  contextName: ({ container, image }) => `docker.${container ?? image}`,
  argv(options, boot) {
    checkOptions("docker", options, ["container", "image", "username", "dockerPath"]);
    const { dockerPath = "docker" } = options;
    const user = userFlag("docker", options.username);
    const [container, image] = checkContainerOrImage("docker", options);
    // No --tty: a terminal would mangle bytes, and cut them into pieces.
    return container === undefined
      ? [dockerPath, "run", "--interactive", ...user, "--rm", image, ...boot.words]
      : [dockerPath, "exec", "--interactive", ...user, container, ...boot.words];
  },
};

/** `--user=…`, or nothing. */
export function userFlag(method: string, username: string | undefined): string[] {
  return username === undefined ? [] : [`--user=${checkTarget(method, "username", username)}`];
}

/** One of them, and only one. */
export function checkContainerOrImage(
  method: string,
  { container, image }: Pick<DockerOptions, "container" | "image">,
): [container: string] | [container: undefined, image: string] {
  if (container !== undefined && image !== undefined) {
    throw new TypeError(`Cannot connect: ${method}() takes a container or an image, not both`);
  }
  return image === undefined
    ? [checkTarget(method, "container", container)]
    : [undefined, checkTarget(method, "image", image)];
}
